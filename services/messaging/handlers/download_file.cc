#include "common/base/status.h"
#include "services/messaging/files.h"

namespace crm::messaging {

// Answers the content, or a range of it.
Async<> FileService::DownloadFile(Call& call, const v1::DownloadFileRequest& request,
                                  rpc::Stream<type::v1::Content>& stream) {
  CRM_CO_TRY(const v1::File file, co_await files_.Readable(call, request.id()));
  co_return co_await files_.Send(call, file, request.range(), request.inline_(), stream);
}

}  // namespace crm::messaging
