// People, their heads and their working calendars, from the projections of identity's events and our own calendars.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "services/scheduler/rules/working_time.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

inline Uuid UuidOf(const std::string& id) { return id.empty() ? Uuid{} : ParseId(id)->uuid; }

struct Person {
  std::string id;  // TypeID
  std::string name;
  std::string team_id;
  std::string time_zone;
  std::string language;
  bool active = true;
};

// Those of the users that we have heard of, in no order.
Async<std::vector<Person>> FindPeople(pg::Db& db, const Call& call, std::vector<std::string> user_ids);
// One of them.
Async<std::optional<Person>> FindPerson(pg::Db& db, const Call& call, std::string user_id);

// NOT_FOUND unless we have heard of the user, or of the team. One that was just made is heard of in a moment, which is waited for.
Async<> AwaitPerson(pg::Db& db, const Call& call, std::string user_id);
Async<> AwaitTeam(pg::Db& db, const Call& call, std::string team_id);

// Those above a user, nearest first: the manager, or the head of the nearest team upwards that somebody else leads; then the
// head's head. Those who have left are left out; nobody is there twice, nor the user.
Async<std::vector<Person>> HeadsOf(pg::Db& db, const Call& call, std::string user_id);

// A person's working calendar, absences included: all layers put together. For a user whom we have not heard of, or none (""),
// the organisation's.
Async<WorkCalendar> CalendarOf(App& app, const Call& call, std::string user_id);

// ... without absences, for how late something is: a customer waits no less for somebody who is away.
Async<WorkCalendar> WorkOf(App& app, const Call& call, std::string user_id);

// Who is to be told what concerns a user at a moment: the user, or the substitute of one who is away, and so on. Nobody
// stands in for an absent user without a substitute: then it is the nearest head who works. `person` is empty when all of
// them are away or have left.
struct Recipient {
  std::optional<Person> person;
  bool substitute = false;  // not the user
};
Async<Recipient> RecipientOf(App& app, const Call& call, std::string user_id, absl::Time now);

// The language that a user is told things in.
std::string LanguageOf(const Person& person, const std::string& fallback = "en");

}  // namespace crm::scheduler
