#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"

namespace crm::contact {

// Restores a deleted note.
Async<v1::Note> NoteService::UndeleteNote(Call& call, const v1::UndeleteNoteRequest& request) {
  CRM_CO_TRY(v1::Note before,
             co_await LoadNote(db_, call, notes_, request.id(), type::v1::ACTION_DELETE, /*show_deleted=*/true));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (!before.has_delete_time()) co_return StateError("the note is not deleted; there is nothing to restore");
  v1::Note after = before;
  after.clear_delete_time();
  pg::Touch(call, before, after);
  CRM_CO_TRY(pg::NewEvent about, co_await EventOfNote(db_, call, notes_, "undeleted", after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Note> {
    notes_.AddUpdate(batch, before, after, type::v1::ACTION_DELETE);
    v1::NoteUndeleted event;
    *event.mutable_note() = after;
    batch.Emit(about, event);
    return after;
  }));
  co_return ShownNote(call, notes_, std::move(stored));
}

}  // namespace crm::contact
