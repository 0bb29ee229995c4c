#include "common/base/status.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"

namespace crm::contact {

// Answers one note as the caller may see it.
Async<v1::Note> NoteService::GetNote(Call& call, const v1::GetNoteRequest& request) {
  CRM_CO_TRY(v1::Note note, co_await LoadNote(db_, call, notes_, request.id()));
  co_return ShownNote(call, notes_, std::move(note));
}

}  // namespace crm::contact
