#include "services/scheduler/tasks.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/reminders.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

namespace storing {

// Whether anything that the timers depend on differs.
bool SameTimers(const v1::Task& a, const v1::Task& b) {
  return IsOpen(a) == IsOpen(b) && a.has_due_time() == b.has_due_time() &&
         FromTimestamp(a.due_time()) == FromTimestamp(b.due_time()) &&
         std::equal(a.remind_minutes().begin(), a.remind_minutes().end(), b.remind_minutes().begin(),
                    b.remind_minutes().end());
}

void SetTaskTimers(pg::Batch& batch, const v1::Task& task) {
  if (!IsOpen(task) || !task.has_due_time()) return;
  const absl::Time due = FromTimestamp(task.due_time());
  SetTimer(batch, {.kind = "task_due", .subject = task.id(), .due = due});
  for (int minutes : task.remind_minutes()) {
    const absl::Time time = due - absl::Minutes(minutes);
    // The one at the due time is told by task_due; one whose time has gone by is not made up for.
    if (minutes == 0 || time <= batch.call().now()) continue;
    SetTimer(batch, {.kind = "task_remind", .subject = task.id(), .key = absl::StrCat(minutes), .due = time});
  }
}

// Who are told that a task was closed: who gave it, and those who watch it, but not who closed it.
std::vector<std::string> Onlookers(const v1::Task& task) {
  std::vector<std::string> users(task.watcher_ids().begin(), task.watcher_ids().end());
  users.push_back(task.creator_id());
  return users;
}

std::vector<Notice> NoticesOf(const Call& call, const v1::Task& before, const v1::Task& after,
                              const std::string& what) {
  std::vector<Notice> notices;
  const std::string& actor = call.principal.user_id;
  const auto tell = [&](const std::string& user, v1::NotificationKind kind, Say say, const std::string& text) {
    if (user == actor) return;
    notices.push_back({.recipient_id = user,
                       .kind = kind,
                       .say = say,
                       .arguments = {after.title()},
                       .text = text,
                       .record_id = after.id(),
                       .cause = absl::StrCat(after.id(), ":", what, ":", after.etag())});
  };
  if (IsOpen(after) && before.owner_id() != after.owner_id()) {
    tell(after.owner_id(), v1::NOTIFICATION_KIND_TASK_ASSIGNED, Say::kTaskAssigned, after.description());
  }
  if (what == "completed") {
    for (const auto& user : Onlookers(after)) {
      tell(user, v1::NOTIFICATION_KIND_TASK_CLOSED, Say::kTaskDone, after.result());
    }
  }
  if (what == "cancelled") {
    tell(after.owner_id(), v1::NOTIFICATION_KIND_TASK_CLOSED, Say::kTaskCancelled, after.cancel_reason());
    for (const auto& user : Onlookers(after)) {
      tell(user, v1::NOTIFICATION_KIND_TASK_CLOSED, Say::kTaskCancelled, after.cancel_reason());
    }
  }
  return notices;
}

template <typename Event>
void EmitTask(pg::Batch& batch, const App& app, const TaskChange& change, Event event) {
  *event.mutable_task() = change.after;
  pg::NewEvent about = pg::EventOf(app.tables.tasks, change.what, change.after);
  about.changed_fields = pg::ChangedFields(change.before, change.after);
  batch.Emit(about, event);
}

}  // namespace storing

Call ServiceCall(const Call& call) {
  Call own = call;
  own.principal.kind = Principal::Kind::kService;
  return own;
}

Async<NewTask> PrepareTask(App& app, const Call& call, v1::Task task) {
  NewTask made;
  CRM_CO_TRY(co_await app::FillTeam(app.db, call, task));
  pg::StampNew(call, app.tables.tasks, task);
  if (!call.cause.empty()) task.set_rule_id(call.cause.rule_id);
  CRM_CO_TRY(BeginTask(task, call.now()));
  if (!task.parent_id().empty()) {
    CRM_CO_TRY(v1::Task parent, co_await app.db.Get(call, app.tables.tasks, task.parent_id()));
    if (!parent.parent_id().empty()) {
      co_return FieldError("task.parent_id", "names a task that is a part itself; a part has no parts of its own");
    }
    if (!IsOpen(parent)) co_return StateError("the task that this is to be a part of is closed; reopen it first");
  }
  made.task = std::move(task);
  std::vector<Notice> notices = storing::NoticesOf(call, v1::Task(), made.task, "created");
  CRM_CO_TRY(made.told, co_await PrepareNotices(app, call, std::move(notices)));
  co_return made;
}

void AddTask(pg::Batch& batch, const App& app, const NewTask& made) {
  batch.Insert(app.tables.tasks, made.task);
  storing::SetTaskTimers(batch, made.task);
  v1::TaskCreated event;
  *event.mutable_task() = made.task;
  batch.Emit(pg::EventOf(app.tables.tasks, "created", made.task), event);
  AddNotices(batch, app, made.told);
}

Async<TaskChange> PrepareChange(App& app, const Call& call, v1::Task before, v1::Task after, std::string what) {
  TaskChange change;
  CRM_CO_TRY(co_await app::FillTeam(app.db, call, before, after));
  const Call all = ServiceCall(call);
  const bool closes = IsOpen(before) && !IsOpen(after);

  if ((closes || what == "overdue") && what != "deleted" && !after.recurrence().empty()) {
    CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app, all, after.owner_id()));
    std::optional<v1::Task> next = NextOccurrence(after, calendar.zone);
    if (next) {
      pg::StampNew(call, app.tables.tasks, *next);
      after.set_next_id(next->id());
      change.next.emplace().task = *std::move(next);
      std::vector<Notice> notices = storing::NoticesOf(call, v1::Task(), change.next->task, "created");
      CRM_CO_TRY(change.next->told, co_await PrepareNotices(app, all, std::move(notices)));
    }
  }
  // A handler's Patched has touched it already.
  if (pg::RevisionOf(before) == pg::RevisionOf(after)) pg::Touch(call, before, after);

  if (what == "cancelled") {
    CRM_CO_TRY(std::vector<v1::Task> parts, co_await OpenParts(app, all, after.id()));
    for (v1::Task& part : parts) {
      CRM_CO_TRY(v1::Task cancelled, Cancel(part, after.cancel_reason(), call.now()));
      pg::Touch(call, part, cancelled);
      change.parts.emplace_back(std::move(part), std::move(cancelled));
    }
  }
  if (closes) {
    ReminderLinks links;
    links.task_id = after.id();
    const auto stop = what == "deleted" ? v1::REMINDER_STOP_UNSPECIFIED : v1::REMINDER_STOP_TASK_CLOSED;
    CRM_CO_TRY(change.reminders, co_await FindPending(app, all, links, stop));
  }
  std::vector<Notice> notices = storing::NoticesOf(call, before, after, what);
  CRM_CO_TRY(change.told, co_await PrepareNotices(app, all, std::move(notices)));
  change.before = std::move(before);
  change.after = std::move(after);
  change.what = std::move(what);
  co_return change;
}

void ChangeTask(pg::Batch& batch, const App& app, const TaskChange& change, type::v1::Action action) {
  app.tables.tasks.AddUpdate(batch, change.before, change.after, action);
  if (!storing::SameTimers(change.before, change.after)) {
    CancelTimers(batch, change.after.id());
    storing::SetTaskTimers(batch, change.after);
  }
  if (change.what == "completed") {
    storing::EmitTask(batch, app, change, v1::TaskCompleted());
  } else if (change.what == "cancelled") {
    storing::EmitTask(batch, app, change, v1::TaskCancelled());
  } else if (change.what == "reopened") {
    storing::EmitTask(batch, app, change, v1::TaskReopened());
  } else if (change.what == "overdue") {
    storing::EmitTask(batch, app, change, v1::TaskOverdue());
  } else if (change.what == "escalated") {
    v1::TaskEscalated event;
    event.set_head_id(change.head_id);
    storing::EmitTask(batch, app, change, event);
  } else if (change.what == "deleted") {
    storing::EmitTask(batch, app, change, v1::TaskDeleted());
  } else if (change.what == "undeleted") {
    storing::EmitTask(batch, app, change, v1::TaskUndeleted());
  } else {
    v1::TaskUpdated event;
    if (change.before.owner_id() != change.after.owner_id()) event.set_from_owner_id(change.before.owner_id());
    storing::EmitTask(batch, app, change, event);
  }
  if (change.next) AddTask(batch, app, *change.next);
  for (const auto& [before, after] : change.parts) {
    TaskChange part;
    part.before = before;
    part.after = after;
    part.what = "cancelled";
    ChangeTask(batch, app, part, type::v1::ACTION_UNSPECIFIED);
  }
  CancelPending(batch, app, change.reminders, change.what == "deleted" ? "the task was deleted" : "the task is closed");
  AddNotices(batch, app, change.told);
}

std::string TaskSettingsId(const Uuid& tenant) { return TypeId("task_settings", DerivedUuid(tenant, "task_settings")); }

Async<v1::TaskSettings> TaskSettingsOf(App& app, const Call& call) {
  auto found = co_await app.db.Get(call, app.tables.task_settings, TaskSettingsId(call.tenant()));
  if (found.ok()) co_return found;
  if (found.status().code() != absl::StatusCode::kNotFound) co_return found.status();
  v1::TaskSettings settings = DefaultTaskSettings();
  settings.set_id(TaskSettingsId(call.tenant()));
  co_return settings;
}

Async<v1::Task> ReadTask(App& app, const Call& call, std::string id) {
  auto task = co_await app.db.Get(call, app.tables.tasks, id);
  if (task.status().code() != absl::StatusCode::kNotFound) co_return task;
  auto other = co_await app.db.Get(ServiceCall(call), app.tables.tasks, id);
  const std::string& me = call.principal.user_id;
  const bool mine = other.ok() && (other->creator_id() == me ||
                                   std::count(other->watcher_ids().begin(), other->watcher_ids().end(), me) > 0);
  if (!mine) co_return task.status();
  co_return other;
}

Async<std::vector<v1::Task>> OpenParts(App& app, const Call& call, std::string task_id) {
  pg::ListArgs args;
  args.where = "t.parent_id = $1 AND t.status IN (1, 2)";
  args.where_params.Id(UuidOf(task_id));
  args.page_size = pg::kPageSizeMax;
  CRM_CO_TRY(pg::Page<v1::Task> page, co_await app.db.List(ServiceCall(call), app.tables.tasks, std::move(args)));
  co_return std::move(page.items);
}

Async<> FillOverdue(App& app, const Call& call, google::protobuf::RepeatedPtrField<v1::Task>& tasks) {
  const bool any =
      std::any_of(tasks.begin(), tasks.end(), [](const v1::Task& task) { return task.has_overdue_since(); });
  if (!any) co_return absl::OkStatus();
  CRM_CO_TRY(absl::Time now, co_await DueNow(app.db, call));
  std::map<std::string, WorkCalendar> calendars;
  for (v1::Task& task : tasks) {
    if (!task.has_overdue_since()) continue;
    if (!calendars.contains(task.owner_id())) {
      CRM_CO_TRY(calendars[task.owner_id()], co_await WorkOf(app, call, task.owner_id()));
    }
    *task.mutable_overdue() = OverdueOf(task, calendars[task.owner_id()], now, call.language);
  }
  co_return absl::OkStatus();
}

Async<v1::Task> ShownTask(App& app, const Call& call, v1::Task task) {
  google::protobuf::RepeatedPtrField<v1::Task> one;
  *one.Add() = std::move(task);
  CRM_CO_TRY(co_await FillOverdue(app, call, one));
  co_return pg::Shown(call, app.tables.tasks, std::move(one[0]));
}

}  // namespace crm::scheduler
