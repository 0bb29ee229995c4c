#include "services/scheduler/automation.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/events/subscription.h"
#include "common/pg/records.h"
#include "services/scheduler/consumers/automation.h"
#include "services/scheduler/jobs/automation_book.h"
#include "services/scheduler/jobs/automation_runner.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/reminders.h"
#include "services/scheduler/rule_service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {
namespace installing {

// One call may not eat the time of the whole run.
constexpr auto kCallTimeMax = std::chrono::seconds(8);

class InsideApp final : public automation::Inside {
 public:
  explicit InsideApp(App& app) : app_(app) {}

  Async<> AddTask(const Call& call, pg::Batch& batch, v1::Task task) override {
    CRM_CO_TRY(const NewTask made, co_await PrepareTask(app_, call, std::move(task)));
    crm::scheduler::AddTask(batch, app_, made);
    co_return absl::OkStatus();
  }

  Async<> AddReminder(const Call& call, pg::Batch& batch, v1::Reminder reminder) override {
    CRM_CO_TRY(const v1::Reminder made, co_await PrepareReminder(app_, call, std::move(reminder)));
    crm::scheduler::AddReminder(batch, app_, made);
    co_return absl::OkStatus();
  }

  // Of the deal if there is one, else of the contact or the lead: reminders are linked to all that their record names.
  Async<int> CancelReminders(const Call& call, pg::Batch& batch, std::string rule_id, std::string contact_id,
                             std::string deal_id, std::string lead_id) override {
    ReminderLinks links;
    if (!deal_id.empty()) {
      links.deal_id = deal_id;
    } else if (!contact_id.empty()) {
      links.contact_id = contact_id;
    } else {
      links.lead_id = lead_id;
    }
    if (links.empty()) co_return 0;
    CRM_CO_TRY(std::vector<v1::Reminder> pending,
               co_await FindPending(app_, call, links, v1::REMINDER_STOP_UNSPECIFIED));
    std::erase_if(pending, [&](const v1::Reminder& reminder) {
      return reminder.rule_id().empty() || (!rule_id.empty() && reminder.rule_id() != rule_id);
    });
    CancelPending(batch, app_, pending, "an automation rule called it off");
    co_return static_cast<int>(pending.size());
  }

  Async<> Notify(const Call& call, pg::Batch& batch, std::string user_id, std::string title, std::string record_id,
                 std::string cause) override {
    std::vector<Notice> notices(1);
    notices[0].recipient_id = std::move(user_id);
    notices[0].kind = v1::NOTIFICATION_KIND_RULE;
    notices[0].title = std::move(title);
    notices[0].record_id = std::move(record_id);
    notices[0].cause = std::move(cause);
    CRM_CO_TRY(const auto told, co_await PrepareNotices(app_, call, std::move(notices)));
    AddNotices(batch, app_, told);
    co_return absl::OkStatus();
  }

  Async<std::string> HeadOf(const Call& call, std::string user_id) override {
    CRM_CO_TRY(const std::vector<Person> heads, co_await HeadsOf(app_.db, call, std::move(user_id)));
    co_return heads.empty() ? std::string() : heads.front().id;
  }

  Async<identity::v1::User> FindUser(const Call& call, std::string user_id) override {
    identity::v1::User user;
    user.set_id(user_id);
    CRM_CO_TRY(const auto people, co_await FindPeople(app_.db, call, std::vector<std::string>(1, user_id)));
    for (const Person& person : people) {
      user.set_display_name(person.name);
      user.set_language(person.language);
      user.set_time_zone(person.time_zone);
      user.set_team_id(person.team_id);
    }
    co_return user;
  }

  Async<absl::Time> AfterWorkingTime(const Call& call, std::string user_id, absl::Time start,
                                     v1::Delay delay) override {
    CRM_CO_TRY(const WorkCalendar calendar, co_await CalendarOf(app_, call, std::move(user_id)));
    // Days first: so many days of work later, at the same time of day, or when work begins after it.
    absl::Time at = start;
    absl::CivilSecond local = absl::ToCivilSecond(start, calendar.zone);
    absl::CivilDay day(local);
    for (int left = delay.days(), looked = 0; left > 0; ++looked) {
      if (looked > 366 * 10) co_return StateError("the calendar has no working time");
      ++day;
      if (WorkingTimeOf(calendar, day) > absl::ZeroDuration()) --left;
    }
    if (delay.days() > 0) {
      at = absl::FromCivil(
          absl::CivilSecond(day.year(), day.month(), day.day(), local.hour(), local.minute(), local.second()),
          calendar.zone);
    }
    const auto due = AddWorkingTime(calendar, at, absl::Hours(delay.hours()) + absl::Minutes(delay.minutes()));
    if (!due) co_return StateError("the calendar has no working time");
    co_return *due;
  }

 private:
  App& app_;
};

// The services over gRPC.
class OutsideApp final : public automation::Outside {
 public:
  explicit OutsideApp(app::Runtime& runtime) {
    for (const char* service : automation::kProducers) peers_[service] = &runtime.peer(service);
  }
  Async<std::string> Send(const Call& call, const std::string& service, const std::string& method,
                          std::string request) override {
    const auto peer = peers_.find(service);
    if (peer == peers_.end()) co_return absl::InternalError("no service is called " + service);
    Call own = call;
    own.deadline = std::min(call.deadline, std::chrono::steady_clock::now() + kCallTimeMax);
    co_return co_await peer->second->UnaryBytes(own, method, std::move(request));
  }

 private:
  std::map<std::string, rpc::Client*> peers_;
};

// All that lives as long as the process.
struct Rules {
  Rules(app::Runtime& runtime, App& app)
      : book(runtime.db(), runtime.worker_db()),
        outside(runtime),
        inside(MakeInside(app)),
        effects(runtime.db(), outside, *inside),
        runner(runtime.db(), book, effects, tables.runs) {
    for (const char* service : automation::kProducers) logs[service] = events::MakeRpcSource(runtime.peer(service));
  }
  RuleTables tables;
  automation::RuleBook book;
  OutsideApp outside;
  std::unique_ptr<automation::Inside> inside;
  automation::Effects effects;
  automation::Runner runner;
  RuleService::Logs logs;
};

Rules* all = nullptr;  // one a process

}  // namespace installing

std::unique_ptr<automation::Inside> MakeInside(App& app) { return std::make_unique<installing::InsideApp>(app); }

void InstallRules(app::Runtime& runtime, App& app, Timers& timers) {
  installing::all = new installing::Rules(runtime, app);
  installing::Rules& rules = *installing::all;
  runtime.Own(rules.tables.rules);
  runtime.Own(rules.tables.runs);
  runtime.Serve(std::make_unique<RuleService>(runtime.db(), rules.tables, rules.book, rules.effects, rules.logs));
  rules.runner.Register(timers);
  runtime.Job("rules.refresh", [&rules](Call call) { return rules.book.Run(std::move(call)); });
}

void HearForRules(events::Consumer& consumer, const std::string& producer) {
  if (producer == "identity") {
    automation::HearIdentityForRules(consumer, installing::all->book);
  } else {
    automation::HearForRules(consumer, producer, installing::all->book);
  }
}

}  // namespace crm::scheduler
