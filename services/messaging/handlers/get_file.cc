#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/messaging/files.h"

namespace crm::messaging {

// Answers what is known of a file; of an upload also what is missing.
Async<v1::File> FileService::GetFile(Call& call, const v1::GetFileRequest& request) {
  CRM_CO_TRY(v1::File file, co_await files_.Readable(call, request.id()));
  CRM_CO_TRY(const auto missing, co_await files_.MissingParts(call, file));
  for (const int number : missing) file.add_missing_parts(number);
  co_return pg::Shown(call, files_.table(), std::move(file));
}

}  // namespace crm::messaging
