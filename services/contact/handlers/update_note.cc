#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"

namespace crm::contact {

// Changes what a note says, or whether it stays on top.
Async<v1::Note> NoteService::UpdateNote(Call& call, const v1::UpdateNoteRequest& request) {
  CRM_CO_TRY(v1::Note before, co_await LoadNote(db_, call, notes_, request.note().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Note after, pg::Patched(call, before, request.note(), request.update_mask(), request.etag()));
  CRM_CO_TRY(pg::NewEvent about, co_await EventOfNote(db_, call, notes_, "updated", after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Note> {
    batch.Update(notes_, before, after);
    v1::NoteUpdated event;
    *event.mutable_note() = after;
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  }));
  co_return ShownNote(call, notes_, std::move(stored));
}

}  // namespace crm::contact
