#include "services/contact/visibility.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "services/contact/rules/timeline.h"

namespace crm::contact {
namespace visibility {

// A deal or lead that was made a moment ago is heard of soon.
constexpr std::chrono::milliseconds kCardWait{1000};
constexpr std::chrono::milliseconds kCardPoll{50};

const char* TableOf(const std::string& card) {
  if (card == "contact") return "contact_view";
  if (card == "company") return "company_view";
  return "linked_record_view";
}

// Numbers parameters as they come.
struct Builder {
  pg::Fragment fragment;
  std::string user, teams;

  std::string Bind(const pg::Params& one) {
    fragment.params.Append(one);
    return absl::StrCat("$", fragment.params.size());
  }
  // What an owner of this scope must be: the row `c` has the card's.
  std::string OwnerIs(const Call& call, type::v1::Scope scope) {
    if (user.empty()) {
      const auto id = ParseId(call.principal.user_id, "user", "user_id");
      // An API key or service owns nothing: NULL equals no owner.
      user = absl::StrCat(Bind(id.ok() ? pg::Params().Id(*id) : pg::Params().Null()), "::uuid");
    }
    if (scope == type::v1::SCOPE_OWN) return absl::StrCat("c.owner_id = ", user);
    if (teams.empty()) teams = absl::StrCat(Bind(pg::Params().IdArray(call.principal.teams)), "::uuid[]");
    return absl::StrCat("(c.owner_id = ", user, " OR c.team_id = ANY (", teams, "))");
  }
};

// The condition for rows that hang on this kind of card.
std::string OfCard(const Call& call, const std::string& card, const std::string& object, Builder& builder) {
  const auto reach = call.ScopeOf(card, type::v1::ACTION_READ);
  if (reach == type::v1::SCOPE_UNSPECIFIED) return "false";
  std::vector<std::string> parts;
  for (const auto scope : {type::v1::SCOPE_ALL, type::v1::SCOPE_TEAM, type::v1::SCOPE_OWN}) {
    std::vector<std::string> kinds;
    for (const char* kind : kEntryObjects) {
      if (std::min(reach, call.ScopeOf(kind, type::v1::ACTION_READ)) == scope) kinds.emplace_back(kind);
    }
    if (kinds.empty()) continue;
    std::string part = kinds.size() == std::size(kEntryObjects)
                           ? "true"
                           : absl::StrCat(object, " = ANY (", builder.Bind(pg::Params().TextArray(kinds)), "::text[])");
    if (scope != type::v1::SCOPE_ALL) {
      // Not EXISTS: that the planner may turn into a hash of all the caller's cards, made for every page.
      absl::StrAppend(&part, " AND (SELECT ", builder.OwnerIs(call, scope), " FROM ", TableOf(card),
                      " c WHERE c.id = t.", card, "_id)");
    }
    parts.push_back(absl::StrCat("(", part, ")"));
  }
  if (parts.empty()) return "false";
  std::string all = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) absl::StrAppend(&all, " OR ", parts[i]);
  return all;
}

}  // namespace visibility

pg::Fragment Visible(const Call& call, const std::string& object) {
  visibility::Builder builder;
  std::string sql = "CASE";
  for (const char* card : kCardObjects) {
    const std::string condition = visibility::OfCard(call, card, object, builder);
    absl::StrAppend(&sql, " WHEN t.", card, "_id IS NOT NULL THEN ", condition);
  }
  absl::StrAppend(&sql, " ELSE false END");
  builder.fragment.sql = std::move(sql);
  return std::move(builder.fragment);
}

Async<> CheckCard(pg::Db& db, const Call& call, std::string id) {
  CRM_CO_TRY(const ParsedId card, ParseId(id));
  const auto reach = call.ScopeOf(card.prefix, type::v1::ACTION_READ);
  const bool linked = card.prefix == "deal" || card.prefix == "lead";
  for (auto waited = std::chrono::milliseconds::zero();; waited += visibility::kCardPoll) {
    if (reach == type::v1::SCOPE_UNSPECIFIED) break;
    visibility::Builder builder;
    std::string sql = absl::StrCat("SELECT ", linked ? "NOT c.deleted" : "c.delete_time IS NULL", ", ",
                                   reach == type::v1::SCOPE_ALL ? std::string("true") : builder.OwnerIs(call, reach),
                                   " FROM ", visibility::TableOf(card.prefix), " c WHERE c.id = ");
    absl::StrAppend(&sql, builder.Bind(pg::Params().Id(card.uuid)));
    pg::Batch batch(call);
    batch.AddDynamic(std::make_shared<pg::Statement>(pg::Statement{"contact.check_card", std::move(sql)}),
                     builder.fragment.params);
    CRM_CO_TRY(auto rows, co_await db.Read(call, std::move(batch)));
    if (!rows[0].empty()) {
      if (rows[0].Bool(0, 0) && !rows[0].IsNull(0, 1) && rows[0].Bool(0, 1)) co_return absl::OkStatus();
      break;
    }
    if (!linked || waited >= visibility::kCardWait) break;
    asio::steady_timer timer(co_await asio::this_coro::executor, visibility::kCardPoll);
    boost::system::error_code cancelled;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled) break;
  }
  co_return NotFound(id);
}

}  // namespace crm::contact
