// How tasks are written: the row with its timers, event and notifications, always together.
//
//   CRM_CO_TRY(NewTask made, co_await PrepareTask(app, call, draft));               // reads
//   ... batch: AddTask(batch, app, made);
//   CRM_CO_TRY(TaskChange change, co_await PrepareChange(app, call, before, after, "completed"));
//   ... batch: ChangeTask(batch, app, change);
//
// Timers of a task, all with its id as subject: `task_due` at its due time, `task_remind` per reminder (key: minutes before),
// `task_escalate` for the next step upwards (key: the step).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/batch.h"
#include "crm/scheduler/v1/notification.pb.h"
#include "crm/scheduler/v1/task.pb.h"
#include "services/scheduler/rules/working_time.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// The same call with the service's own scope, for what follows from a right to something else. The actor stays.
Call ServiceCall(const Call& call);

// A task that is to be made: stamped, checked, with its team, and those who are told.
struct NewTask {
  v1::Task task;
  std::vector<v1::Notification> told;
};
// `task` as a client sends it: title, owner_id and links; what is empty gets its default. A preset id makes repeating
// harmless. Whether the caller may make it is the caller's to check (pg::CheckCreate).
Async<NewTask> PrepareTask(App& app, const Call& call, v1::Task task);
void AddTask(pg::Batch& batch, const App& app, const NewTask& made);

// A task that changes, with all that follows.
struct TaskChange {
  v1::Task before, after;
  std::string what;     // of the event: updated, completed, cancelled, reopened, overdue, escalated, deleted, undeleted
  std::string head_id;  // of escalated: who was told
  std::vector<v1::Notification> told;
  std::optional<NewTask> next;                       // the next of the series
  std::vector<std::pair<v1::Task, v1::Task>> parts;  // open subtasks, cancelled with it
  std::vector<v1::Reminder> reminders;               // called off by it
};
// `after` as a rule made it (not yet touched). Fills the team of a new assignee.
Async<TaskChange> PrepareChange(App& app, const Call& call, v1::Task before, v1::Task after, std::string what);
void ChangeTask(pg::Batch& batch, const App& app, const TaskChange& change,
                type::v1::Action action = type::v1::ACTION_UPDATE);

// The tenant's settings, or the usual ones with revision 0.
Async<v1::TaskSettings> TaskSettingsOf(App& app, const Call& call);
std::string TaskSettingsId(const Uuid& tenant);

// A task that the caller may read: by right, or because they gave it or watch it. Else NOT_FOUND.
Async<v1::Task> ReadTask(App& app, const Call& call, std::string id);

// How many of a task's parts are open.
Async<std::vector<v1::Task>> OpenParts(App& app, const Call& call, std::string task_id);

// A read task as its reader sees it, with how late it is.
Async<v1::Task> ShownTask(App& app, const Call& call, v1::Task task);
// ... several, each assignee's calendar read once.
Async<> FillOverdue(App& app, const Call& call, google::protobuf::RepeatedPtrField<v1::Task>& tasks);

}  // namespace crm::scheduler
