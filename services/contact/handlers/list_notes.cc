#include <absl/strings/str_cat.h>

#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"
#include "services/contact/visibility.h"

namespace crm::contact {

// Lists the notes of a card, or of all that the caller may read.
Async<v1::ListNotesResponse> NoteService::ListNotes(Call& call, const v1::ListNotesRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  const pg::Fragment visible = Visible(call, "'note'");
  args.where = visible.sql;
  args.where_params = visible.params;
  if (!request.record_id().empty()) {
    CRM_CO_TRY(const ParsedId id, ParseId(request.record_id()));
    const std::string card = absl::StrCat("record_id = \"", TypeId(id.prefix, id.uuid), "\"");
    args.filter = args.filter.empty() ? card : absl::StrCat(card, " AND (", args.filter, ")");
  }
  CRM_CO_TRY(auto response, co_await pg::ListShown(db_, call, notes_, request, &v1::ListNotesResponse::mutable_notes,
                                                   std::move(args)));
  if (request.view() == type::v1::VIEW_FULL) {
    for (auto& note : *response.mutable_notes()) note = ShownNote(call, notes_, std::move(note));
  }
  co_return response;
}

}  // namespace crm::contact
