#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/file_events.pb.h"
#include "services/messaging/files.h"

namespace crm::messaging {

// Deletes a file; its bytes follow a day later.
Async<v1::File> FileService::DeleteFile(Call& call, const v1::DeleteFileRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, files_.table(), request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::File> {
    files_.table().AddUpdate(batch, change.before, change.after, type::v1::ACTION_DELETE);
    v1::FileDeleted event;
    *event.mutable_file() = change.after;
    batch.Emit(pg::EventOf(files_.table(), "deleted", change.after), event);
    return change.after;
  }));
  co_return pg::Shown(call, files_.table(), std::move(stored));
}

}  // namespace crm::messaging
