#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/scheduler/jobs/jobs.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/sql.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

namespace firing {

// The task of a timer, if there still is something to be done about it: open, and due as when the timer was set.
Async<std::optional<v1::Task>> OpenTask(App& app, const Fired& fired) {
  auto task = co_await app.db.Get(fired.call, app.tables.tasks, fired.subject);
  if (task.status().code() == absl::StatusCode::kNotFound) co_return std::nullopt;
  CRM_CO_TRY(task.status());
  if (!IsOpen(*task) || !task->has_due_time()) co_return std::nullopt;
  co_return *std::move(task);
}

// Sets the timer of an escalation's step, unless no working time comes any more. That the assignee is away puts nothing off.
void SetEscalation(pg::Batch& batch, const v1::Task& task, const v1::TaskSettings& settings, int step,
                   const WorkCalendar& calendar) {
  if (step >= settings.escalation_size()) return;
  auto time = EscalationTime(task, settings.escalation(step), step == 0, calendar);
  if (!time) return;
  SetTimer(batch, {.kind = "task_escalate", .subject = task.id(), .key = absl::StrCat(step), .due = *time});
}

// Tells the assignee, or whoever stands in.
Async<std::vector<Notice>> ToAssignee(App& app, const Fired& fired, const v1::Task& task, Notice notice) {
  std::vector<Notice> notices;
  CRM_CO_TRY(Recipient recipient, co_await RecipientOf(app, fired.call, task.owner_id(), fired.now));
  if (!recipient.person) co_return notices;
  notice.recipient_id = recipient.person->id;
  notice.record_id = task.id();
  if (recipient.substitute) {
    notice.for_user_id = task.owner_id();
    CRM_CO_TRY(std::optional<Person> owner, co_await FindPerson(app.db, fired.call, task.owner_id()));
    if (owner) notice.text = Sentence(Say::kInsteadOf, {owner->name}, LanguageOf(*recipient.person));
  }
  notices.push_back(std::move(notice));
  co_return notices;
}

// The due time has come: the task is overdue, once per due time; the next of its series is made; escalation begins.
Async<> TaskDue(App& app, const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(std::optional<v1::Task> found, co_await OpenTask(app, fired));
  if (!found || FromTimestamp(found->due_time()) > fired.now) co_return absl::OkStatus();
  const v1::Task& before = *found;
  const absl::Time due = FromTimestamp(before.due_time());
  v1::Task after = before;
  *after.mutable_overdue_since() = before.due_time();
  CRM_CO_TRY(pg::Rows mark,
             co_await app.db.Read(fired.call, sql::kFindOverdueMark, pg::Params().Id(UuidOf(before.id())).Time(due)));
  const bool first = mark.empty();
  CRM_CO_TRY(TaskChange change, co_await PrepareChange(app, fired.call, before, after, first ? "overdue" : "updated"));
  if (first) {
    batch.Add(sql::kMarkOverdue, pg::Params().Id(fired.call.tenant()).Id(UuidOf(before.id())).Time(due));
    const bool remind =
        std::find(before.remind_minutes().begin(), before.remind_minutes().end(), 0) != before.remind_minutes().end();
    Notice notice{.kind = remind ? v1::NOTIFICATION_KIND_TASK_REMINDER : v1::NOTIFICATION_KIND_TASK_OVERDUE,
                  .say = remind ? Say::kTaskDueNow : Say::kTaskOverdue,
                  .arguments = {before.title()},
                  .cause = absl::StrCat(before.id(), ":due:", TimeText(due))};
    CRM_CO_TRY(std::vector<Notice> notices, co_await ToAssignee(app, fired, before, notice));
    notice.kind = v1::NOTIFICATION_KIND_TASK_OVERDUE;
    notice.say = Say::kTaskOverdue;
    notice.record_id = before.id();
    for (const std::string& watcher : before.watcher_ids()) {
      notice.recipient_id = watcher;
      notices.push_back(notice);
    }
    CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, fired.call, std::move(notices)));
    std::move(told.begin(), told.end(), std::back_inserter(change.told));
  }
  ChangeTask(batch, app, change, type::v1::ACTION_UNSPECIFIED);
  CRM_CO_TRY(v1::TaskSettings settings, co_await TaskSettingsOf(app, fired.call));
  CRM_CO_TRY(WorkCalendar calendar, co_await WorkOf(app, fired.call, before.owner_id()));
  SetEscalation(batch, change.after, settings, change.after.escalation_level(), calendar);
  co_return absl::OkStatus();
}

Async<> TaskRemind(App& app, const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(std::optional<v1::Task> task, co_await OpenTask(app, fired));
  int minutes = 0;
  if (!task || !absl::SimpleAtoi(fired.key, &minutes)) co_return absl::OkStatus();
  CRM_CO_TRY(Recipient recipient, co_await RecipientOf(app, fired.call, task->owner_id(), fired.now));
  if (!recipient.person) co_return absl::OkStatus();
  const std::string language = LanguageOf(*recipient.person);
  const std::string amount = minutes % 1440 == 0 ? Amount(minutes / 1440, Unit::kDay, language)
                             : minutes % 60 == 0 ? Amount(minutes / 60, Unit::kHour, language)
                                                 : Amount(minutes, Unit::kMinute, language);
  Notice notice{.kind = v1::NOTIFICATION_KIND_TASK_REMINDER,
                .say = Say::kTaskDueSoon,
                .arguments = {task->title(), amount},
                .cause = absl::StrCat(task->id(), ":remind:", minutes, ":", TimeText(FromTimestamp(task->due_time())))};
  CRM_CO_TRY(std::vector<Notice> notices, co_await ToAssignee(app, fired, *task, std::move(notice)));
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, fired.call, std::move(notices)));
  AddNotices(batch, app, told);
  co_return absl::OkStatus();
}

// One step upwards, and the timer of the next. A step for which there is no head is skipped, so that those above still hear.
Async<> TaskEscalate(App& app, const Fired& fired, pg::Batch& batch) {
  CRM_CO_TRY(std::optional<v1::Task> found, co_await OpenTask(app, fired));
  int step = 0;
  if (!found || !absl::SimpleAtoi(fired.key, &step)) co_return absl::OkStatus();
  const v1::Task& before = *found;
  if (!before.has_overdue_since() || before.escalation_level() != step) co_return absl::OkStatus();
  CRM_CO_TRY(v1::TaskSettings settings, co_await TaskSettingsOf(app, fired.call));
  if (step >= settings.escalation_size()) co_return absl::OkStatus();
  const v1::EscalationStep& rung = settings.escalation(step);
  CRM_CO_TRY(WorkCalendar calendar, co_await WorkOf(app, fired.call, before.owner_id()));
  CRM_CO_TRY(std::vector<Person> heads, co_await HeadsOf(app.db, fired.call, before.owner_id()));
  v1::Task after = before;
  after.set_escalation_level(step + 1);
  CRM_CO_TRY(TaskChange change, co_await PrepareChange(app, fired.call, before, after, "escalated"));
  if (rung.level() <= static_cast<int>(heads.size())) {
    const Person& head = heads[static_cast<size_t>(rung.level() - 1)];
    CRM_CO_TRY(Recipient recipient, co_await RecipientOf(app, fired.call, head.id, fired.now));
    if (recipient.person && recipient.person->id != before.owner_id()) {
      CRM_CO_TRY(std::optional<Person> owner, co_await FindPerson(app.db, fired.call, before.owner_id()));
      const std::string language = LanguageOf(*recipient.person);
      const v1::Overdue overdue = OverdueOf(before, calendar, fired.now, language);
      change.head_id = recipient.person->id;
      std::vector<Notice> notices = {
          {.recipient_id = recipient.person->id,
           .kind = v1::NOTIFICATION_KIND_TASK_ESCALATED,
           .say = Say::kTaskEscalated,
           .arguments = {owner ? owner->name : before.owner_id(), before.title()},
           .text = overdue.text(),
           .urgent = rung.urgent() || before.priority() == v1::TASK_PRIORITY_URGENT,
           .record_id = before.id(),
           .for_user_id = before.owner_id(),
           .cause = absl::StrCat(before.id(), ":escalate:", step, ":", TimeText(FromTimestamp(before.due_time())))}};
      CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app, fired.call, std::move(notices)));
      std::move(told.begin(), told.end(), std::back_inserter(change.told));
    }
  }
  ChangeTask(batch, app, change, type::v1::ACTION_UNSPECIFIED);
  SetEscalation(batch, change.after, settings, step + 1, calendar);
  co_return absl::OkStatus();
}

}  // namespace firing

void FireTasks(Timers& timers, App& app) {
  timers.On("task_due", [&app](const Fired& fired, pg::Batch& batch) { return firing::TaskDue(app, fired, batch); });
  timers.On("task_remind",
            [&app](const Fired& fired, pg::Batch& batch) { return firing::TaskRemind(app, fired, batch); });
  timers.On("task_escalate",
            [&app](const Fired& fired, pg::Batch& batch) { return firing::TaskEscalate(app, fired, batch); });
}

}  // namespace crm::scheduler
