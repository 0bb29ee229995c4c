#include "common/base/error.h"
#include "common/base/status.h"
#include "services/messaging/file_link.h"
#include "services/messaging/files.h"

namespace crm::messaging {

// Answers the content by a signed link. Acts as the service itself in the tenant that the address names: the link was
// made by somebody who may read the file.
Async<> FileService::OpenFileLink(Call& call, const v1::OpenFileLinkRequest& request,
                                  rpc::Stream<type::v1::Content>& stream) {
  CRM_CO_TRY(const Uuid tenant, ParseId(request.tenant_id(), "tenant", "tenant_id"));
  CRM_CO_TRY(const FileLinkTerms terms, ReadFileLink(tenant, request.file_id(), request.signature(), call.now()));
  Call own = call;
  own.principal = Principal{};
  own.principal.kind = Principal::Kind::kService;
  own.principal.user_id = "service_messaging";
  own.principal.tenant = tenant;
  CRM_CO_TRY(const v1::File file, co_await db_.Get(own, files_.table(), request.file_id()));
  co_return co_await files_.Send(own, file, request.range(), terms.inline_, stream);
}

}  // namespace crm::messaging
