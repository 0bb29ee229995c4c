#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"
#include "services/contact/visibility.h"

namespace crm::contact {

// Writes a note on a card that the caller may read.
Async<v1::Note> NoteService::CreateNote(Call& call, const v1::CreateNoteRequest& request) {
  CRM_CO_TRY(co_await CheckCard(db_, call, request.note().record_id()));
  v1::Note note;
  note.set_record_id(request.note().record_id());
  note.set_text(request.note().text());
  note.set_pinned(request.note().pinned());
  const std::string card = note.record_id().substr(0, note.record_id().rfind('_'));
  if (card == "contact") note.set_contact_id(note.record_id());
  if (card == "company") note.set_company_id(note.record_id());
  if (card == "deal") note.set_deal_id(note.record_id());
  if (card == "lead") note.set_lead_id(note.record_id());
  note.set_author_id(call.principal.user_id);
  note.set_team_id(call.principal.team_id);
  pg::StampNew(call, notes_, note);
  CRM_CO_TRY(pg::NewEvent about, co_await EventOfNote(db_, call, notes_, "created", note));
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Note> {
    batch.Insert(notes_, note);
    v1::NoteCreated event;
    *event.mutable_note() = note;
    batch.Emit(about, event);
    return note;
  }));
  co_return ShownNote(call, notes_, std::move(made));
}

}  // namespace crm::contact
