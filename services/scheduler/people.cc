#include "services/scheduler/people.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

namespace people {

// Absences that ended longer ago do not matter to anything that is still open.
constexpr int kPastDays = 400;
// Identity's events come within it, unless something is down.
constexpr std::chrono::milliseconds kHearingWait{2000};
constexpr std::chrono::milliseconds kHearingPoll{50};
// From substitute to substitute; a circle ends.
constexpr int kSubstitutesMax = 5;

Person PersonAt(const pg::Rows& rows, int i) {
  Person person;
  person.id = TypeId("user", rows.Id(i, 0));
  person.name = std::string(rows.Text(i, 1));
  if (!rows.IsNull(i, 2)) person.team_id = TypeId("team", rows.Id(i, 2));
  person.time_zone = std::string(rows.Text(i, 3));
  person.language = std::string(rows.Text(i, 4));
  person.active = rows.Bool(i, 5);
  return person;
}

google::protobuf::RepeatedPtrField<v1::Shift> ShiftsOf(absl::string_view json) {
  google::protobuf::RepeatedPtrField<v1::Shift> shifts;
  auto list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_array()) return shifts;
  for (const auto& one : list) {
    v1::Shift& shift = *shifts.Add();
    shift.set_weekday(one.value("weekday", 1));
    shift.set_start(one.value("start", ""));
    shift.set_end(one.value("end", ""));
  }
  return shifts;
}

}  // namespace people

Async<std::vector<Person>> FindPeople(pg::Db& db, const Call& call, std::vector<std::string> user_ids) {
  std::vector<Person> found;
  if (user_ids.empty()) co_return found;
  std::vector<Uuid> ids;
  for (const std::string& id : user_ids) {
    auto parsed = ParseId(id);
    if (parsed.ok() && parsed->prefix == "user") ids.push_back(parsed->uuid);
  }
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kFindRecipients, pg::Params().IdArray(ids)));
  for (int i = 0; i < rows.size(); ++i) found.push_back(people::PersonAt(rows, i));
  co_return found;
}

Async<std::optional<Person>> FindPerson(pg::Db& db, const Call& call, std::string user_id) {
  std::vector<std::string> ids(1, std::move(user_id));
  CRM_CO_TRY(std::vector<Person> found, co_await FindPeople(db, call, std::move(ids)));
  if (found.empty()) co_return std::nullopt;
  co_return std::move(found[0]);
}

namespace people {

Async<> AwaitRow(pg::Db& db, const Call& call, const pg::Statement& statement, std::string id) {
  CRM_CO_TRY(ParsedId parsed, ParseId(id));
  const auto deadline = std::chrono::steady_clock::now() + kHearingWait;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, statement, pg::Params().Id(parsed.uuid)));
    if (!rows.empty()) co_return absl::OkStatus();
    if (std::chrono::steady_clock::now() >= deadline) co_return NotFound(id);
    timer.expires_after(kHearingPoll);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace people

Async<> AwaitPerson(pg::Db& db, const Call& call, std::string user_id) {
  co_return co_await people::AwaitRow(db, call, sql::kIsPerson, std::move(user_id));
}

Async<> AwaitTeam(pg::Db& db, const Call& call, std::string team_id) {
  co_return co_await people::AwaitRow(db, call, sql::kIsTeam, std::move(team_id));
}

Async<std::vector<Person>> HeadsOf(pg::Db& db, const Call& call, std::string user_id) {
  std::vector<Person> heads;
  auto parsed = ParseId(user_id);
  if (!parsed.ok() || parsed->prefix != "user") co_return heads;
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kFindHeads, pg::Params().Id(parsed->uuid)));
  std::set<std::string> seen = {user_id};
  for (int i = 0; i < rows.size(); ++i) {
    Person person = people::PersonAt(rows, i);
    if (seen.insert(person.id).second && person.active) heads.push_back(std::move(person));
  }
  co_return heads;
}

Async<WorkCalendar> CalendarOf(App& app, const Call& call, std::string user_id) {
  auto parsed = ParseId(user_id);
  const Uuid user = parsed.ok() && parsed->prefix == "user" ? parsed->uuid : Uuid{};
  pg::Batch batch(call);
  batch.Add(sql::kFindSettingsOfTenant);
  batch.Add(sql::kFindRecipients, pg::Params().IdArray({user}));
  batch.Add(sql::kFindCalendars, pg::Params().Id(user));
  batch.Add(sql::kFindAway,
            pg::Params().Id(user).Text(DateText(LocalDay(call.now(), absl::UTCTimeZone()) - people::kPastDays)));
  CRM_CO_TRY(std::vector<pg::Rows> found, co_await app.db.Read(call, std::move(batch)));

  std::vector<std::string> ids;
  for (int i = 0; i < found[2].size(); ++i) ids.push_back(TypeId("calendar", found[2].Id(i, 0)));
  std::vector<v1::Calendar> calendars;
  if (!ids.empty()) {
    CRM_CO_TRY(calendars, co_await app.db.BatchGet(call, app.tables.calendars, ids));
  }
  std::vector<Layer> layers;
  const auto own_zone = [&] {
    if (found[1].empty() || found[1].Text(0, 3).empty()) return;
    layers.emplace_back().time_zone = std::string(found[1].Text(0, 3));
  };
  // The user's own calendar, then the zone of the user's profile, then the calendars above.
  bool profile = false;
  for (const v1::Calendar& calendar : calendars) {
    if (calendar.user_id().empty() && !profile) {
      own_zone();
      profile = true;
    }
    layers.push_back({calendar.time_zone(), calendar.shifts(), calendar.holidays()});
  }
  if (!profile) own_zone();
  if (!found[0].empty()) {
    layers.push_back({std::string(found[0].Text(0, 0)), people::ShiftsOf(found[0].Text(0, 2)), {}});
  }
  WorkCalendar calendar = CalendarOfLayers(layers);
  for (int i = 0; i < found[3].size(); ++i) {
    auto first = ParseDate(found[3].Date(i, 1));
    auto last = ParseDate(found[3].Date(i, 2));
    if (!first.ok() || !last.ok()) continue;
    calendar.away.push_back({*first, *last, TypeId("absence", found[3].Id(i, 0)),
                             found[3].IsNull(i, 3) ? "" : TypeId("user", found[3].Id(i, 3))});
  }
  co_return calendar;
}

Async<WorkCalendar> WorkOf(App& app, const Call& call, std::string user_id) {
  CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app, call, std::move(user_id)));
  calendar.away.clear();
  co_return calendar;
}

Async<Recipient> RecipientOf(App& app, const Call& call, std::string user_id, absl::Time now) {
  Recipient recipient;
  std::set<std::string> asked;
  std::string candidate = user_id;
  for (int step = 0; step < people::kSubstitutesMax && !candidate.empty() && asked.insert(candidate).second; ++step) {
    CRM_CO_TRY(std::optional<Person> found, co_await FindPerson(app.db, call, candidate));
    // One whom we have not heard of yet has just been added: better told than forgotten.
    Person person = found ? *std::move(found) : Person{.id = candidate};
    CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app, call, candidate));
    const AwaySpan* away = calendar.AwayOn(LocalDay(now, calendar.zone));
    if (person.active && away == nullptr) {
      recipient.substitute = candidate != user_id;
      recipient.person = std::move(person);
      co_return recipient;
    }
    candidate = away == nullptr ? "" : away->substitute_id;
  }
  CRM_CO_TRY(std::vector<Person> heads, co_await HeadsOf(app.db, call, user_id));
  for (Person& head : heads) {
    if (asked.contains(head.id)) continue;
    CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app, call, head.id));
    if (calendar.AwayOn(LocalDay(now, calendar.zone)) != nullptr) continue;
    recipient.substitute = true;
    recipient.person = std::move(head);
    break;
  }
  co_return recipient;
}

std::string LanguageOf(const Person& person, const std::string& fallback) {
  return person.language.empty() ? fallback : person.language;
}

}  // namespace crm::scheduler
