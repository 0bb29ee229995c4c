#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"

namespace crm::contact {

// Deletes a note; it keeps its place and can be restored.
Async<v1::Note> NoteService::DeleteNote(Call& call, const v1::DeleteNoteRequest& request) {
  CRM_CO_TRY(v1::Note before,
             co_await LoadNote(db_, call, notes_, request.id(), type::v1::ACTION_DELETE, /*show_deleted=*/false));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  v1::Note after = before;
  *after.mutable_delete_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  CRM_CO_TRY(pg::NewEvent about, co_await EventOfNote(db_, call, notes_, "deleted", after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Note> {
    notes_.AddUpdate(batch, before, after, type::v1::ACTION_DELETE);
    v1::NoteDeleted event;
    *event.mutable_note() = after;
    batch.Emit(about, event);
    return after;
  }));
  co_return ShownNote(call, notes_, std::move(stored));
}

}  // namespace crm::contact
