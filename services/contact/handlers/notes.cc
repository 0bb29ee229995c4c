#include "services/contact/handlers/notes.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/visibility.h"

namespace crm::contact {
namespace {

bool MayDoWith(const Call& call, const v1::Note& note, type::v1::Action action) {
  const auto scope = call.ScopeOf("note", action);
  if (scope == type::v1::SCOPE_ALL) return true;
  if (scope == type::v1::SCOPE_UNSPECIFIED) return false;
  if (note.author_id() == call.principal.user_id) return true;
  const auto team = ParseId(note.team_id());
  return scope == type::v1::SCOPE_TEAM && team.ok() &&
         std::find(call.principal.teams.begin(), call.principal.teams.end(), team->uuid) != call.principal.teams.end();
}

}  // namespace

Async<v1::Note> LoadNote(pg::Db& db, const Call& call, const pg::Table<v1::Note>& notes, std::string id,
                         type::v1::Action action, bool show_deleted) {
  CRM_CO_TRY(const Uuid uuid, ParseId(id, "note", "id"));
  pg::ListArgs args;
  const pg::Fragment visible = Visible(call, "'note'");
  args.where = absl::StrCat("(", visible.sql, ") AND t.id = $", visible.params.size() + 1);
  args.where_params = visible.params;
  args.where_params.Id(uuid);
  args.page_size = 1;
  args.show_deleted = show_deleted;
  CRM_CO_TRY(auto page, co_await db.List(call, notes, std::move(args)));
  if (page.items.empty()) co_return NotFound(id);
  if (action != type::v1::ACTION_READ && !MayDoWith(call, page.items[0], action)) {
    const std::string right =
        absl::StrCat("note.", absl::AsciiStrToLower(absl::StripPrefix(type::v1::Action_Name(action), "ACTION_")));
    co_return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
                    absl::StrCat("your right ", right, " does not reach the notes of this author"), {{"right", right}});
  }
  co_return std::move(page.items[0]);
}

Async<pg::NewEvent> EventOfNote(pg::Db& db, const Call& call, const pg::Table<v1::Note>& notes, std::string what,
                                v1::Note note) {
  v1::Activity entry;
  entry.set_contact_id(note.contact_id());
  entry.set_company_id(note.company_id());
  entry.set_deal_id(note.deal_id());
  entry.set_lead_id(note.lead_id());
  CRM_CO_TRY(const Card card, co_await FindCard(db, call, entry));
  const std::string hangs_on = CardOf(entry);
  pg::NewEvent event = pg::EventOf(notes, what, note);
  event.owner_id = card.owner_id;
  event.team_id = card.team_id;
  event.read_objects = {hangs_on.substr(0, hangs_on.find('_')), "note"};
  co_return event;
}

v1::Note ShownNote(const Call& call, const pg::Table<v1::Note>& notes, v1::Note note) {
  note = pg::Shown(call, notes, std::move(note));
  auto* access = note.mutable_access();
  access->clear_can();
  if (MayDoWith(call, note, type::v1::ACTION_UPDATE)) access->add_can("update");
  if (MayDoWith(call, note, type::v1::ACTION_DELETE)) access->add_can("delete");
  return note;
}

}  // namespace crm::contact
