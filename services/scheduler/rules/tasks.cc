#include "services/scheduler/rules/tasks.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <set>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/rules/recurrence.h"
#include "services/scheduler/rules/texts.h"

namespace crm::scheduler {

namespace tasking {

// Names the items that have no name yet, and refuses two of one name.
absl::Status NameItems(v1::Task& task, absl::Time now) {
  std::set<std::string> names;
  for (int i = 0; i < task.checklist_size(); ++i) {
    v1::ChecklistItem& item = *task.mutable_checklist(i);
    if (item.id().empty()) item.set_id(NewId("item", now));
    if (!names.insert(item.id()).second) {
      return FieldError(absl::StrCat("task.checklist[", i, "].id"), "is there twice; leave it out for new items");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSeries(const v1::Task& task) {
  if (task.recurrence().empty()) return absl::OkStatus();
  CRM_TRY(CheckRecurrence(task.recurrence(), "task.recurrence"));
  if (!task.has_due_time())
    return FieldError("task.due_time", "is needed by a recurring task: it is the first occurrence");
  return absl::OkStatus();
}

absl::Status Closed(const v1::Task& task) {
  return StateError(
      absl::StrCat("the task is ", task.status() == v1::TASK_STATUS_DONE ? "done" : "cancelled", "; reopen it first"),
      {{"status", v1::TaskStatus_Name(task.status())}});
}

// An open task is overdue again when its time comes.
void Fresh(v1::Task& task) {
  task.clear_overdue_since();
  task.set_escalation_level(0);
}

void Close(v1::Task& task, v1::TaskStatus status, absl::Time now) {
  task.set_status(status);
  *task.mutable_complete_time() = ToTimestamp(now);
  Fresh(task);
}

}  // namespace tasking

bool IsOpen(const v1::Task& task) {
  return (task.status() == v1::TASK_STATUS_OPEN || task.status() == v1::TASK_STATUS_IN_PROGRESS) &&
         !task.has_delete_time();
}

absl::Status BeginTask(v1::Task& task, absl::Time now) {
  if (task.kind() == v1::TASK_KIND_UNSPECIFIED) task.set_kind(v1::TASK_KIND_TODO);
  if (task.priority() == v1::TASK_PRIORITY_UNSPECIFIED) task.set_priority(v1::TASK_PRIORITY_NORMAL);
  task.set_status(v1::TASK_STATUS_OPEN);
  CRM_TRY(tasking::NameItems(task, now));
  CRM_TRY(tasking::CheckSeries(task));
  if (!task.recurrence().empty() && task.occurrence() == 0) {
    task.set_series_id(task.id());
    task.set_occurrence(1);
    *task.mutable_series_time() = task.due_time();
  }
  return absl::OkStatus();
}

absl::Status CheckTask(const v1::Task& before, v1::Task& after, absl::Time now) {
  if (after.kind() == v1::TASK_KIND_UNSPECIFIED) after.set_kind(v1::TASK_KIND_TODO);
  if (after.priority() == v1::TASK_PRIORITY_UNSPECIFIED) after.set_priority(v1::TASK_PRIORITY_NORMAL);
  CRM_TRY(tasking::NameItems(after, now));
  CRM_TRY(tasking::CheckSeries(after));
  if (before.recurrence() != after.recurrence()) {
    // Another rule is another series, which begins here.
    after.clear_next_id();
    after.clear_series_id();
    after.clear_series_time();
    after.set_occurrence(0);
    if (!after.recurrence().empty()) {
      after.set_series_id(after.id());
      after.set_occurrence(1);
      *after.mutable_series_time() = after.due_time();
    }
  }
  if (before.has_due_time() != after.has_due_time() ||
      FromTimestamp(before.due_time()) != FromTimestamp(after.due_time())) {
    tasking::Fresh(after);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Task> Start(const v1::Task& task, absl::Time now) {
  if (!IsOpen(task)) return tasking::Closed(task);
  if (task.status() == v1::TASK_STATUS_IN_PROGRESS) return StateError("the task has been started already");
  v1::Task after = task;
  after.set_status(v1::TASK_STATUS_IN_PROGRESS);
  *after.mutable_start_time() = ToTimestamp(now);
  return after;
}

absl::StatusOr<v1::Task> Complete(const v1::Task& task, const std::string& result, int open_subtasks, absl::Time now) {
  if (!IsOpen(task)) return tasking::Closed(task);
  if (open_subtasks > 0) {
    return StateError(absl::StrCat("the task has ", open_subtasks, " open subtasks; complete or cancel them first"),
                      {{"open_subtasks", absl::StrCat(open_subtasks)}});
  }
  v1::Task after = task;
  after.set_result(result);
  tasking::Close(after, v1::TASK_STATUS_DONE, now);
  return after;
}

absl::StatusOr<v1::Task> Cancel(const v1::Task& task, const std::string& reason, absl::Time now) {
  if (!IsOpen(task)) return tasking::Closed(task);
  v1::Task after = task;
  after.set_cancel_reason(reason);
  tasking::Close(after, v1::TASK_STATUS_CANCELLED, now);
  return after;
}

absl::StatusOr<v1::Task> Reopen(const v1::Task& task, std::optional<absl::Time> due, absl::Time) {
  if (IsOpen(task)) return StateError("the task is open; there is nothing to take up again");
  v1::Task after = task;
  after.set_status(after.has_start_time() ? v1::TASK_STATUS_IN_PROGRESS : v1::TASK_STATUS_OPEN);
  after.clear_result();
  after.clear_cancel_reason();
  after.clear_complete_time();
  if (due) *after.mutable_due_time() = ToTimestamp(*due);
  return after;
}

absl::StatusOr<v1::Task> Check(const v1::Task& task, const std::string& item_id, bool done) {
  if (!IsOpen(task)) return tasking::Closed(task);
  v1::Task after = task;
  for (v1::ChecklistItem& item : *after.mutable_checklist()) {
    if (item.id() != item_id) continue;
    item.set_done(done);
    return after;
  }
  return StateError(absl::StrCat("the checklist has no item ", item_id, " any more; read the task again"),
                    {{"item_id", item_id}});
}

std::optional<v1::Task> NextOccurrence(const v1::Task& task, absl::TimeZone zone) {
  if (task.recurrence().empty() || !task.next_id().empty() || !task.has_series_time()) return std::nullopt;
  const int number = task.occurrence() + 1;
  const auto due = Occurrence(task.recurrence(), FromTimestamp(task.series_time()), zone, number);
  if (!due) return std::nullopt;
  v1::Task next = task;
  // The same whoever makes it, and however often: the series and the number name it.
  next.set_id(DerivedId("task", task.series_id(), absl::StrCat("occurrence ", number, " ", task.recurrence())));
  next.set_occurrence(number);
  *next.mutable_due_time() = ToTimestamp(*due);
  next.set_status(v1::TASK_STATUS_OPEN);
  for (v1::ChecklistItem& item : *next.mutable_checklist()) item.set_done(false);
  tasking::Fresh(next);
  next.clear_result();
  next.clear_cancel_reason();
  next.clear_start_time();
  next.clear_complete_time();
  next.clear_next_id();
  next.clear_etag();
  next.clear_create_time();
  next.clear_update_time();
  return next;
}

v1::Overdue OverdueOf(const v1::Task& task, const WorkCalendar& calendar, absl::Time now, const std::string& language) {
  v1::Overdue overdue;
  const absl::Time due = FromTimestamp(task.due_time());
  if (!IsOpen(task) || !task.has_due_time() || now <= due) return overdue;
  overdue.set_calendar_days(static_cast<int>(LocalDay(now, calendar.zone) - LocalDay(due, calendar.zone)));
  const absl::Duration worked = WorkingTimeBetween(calendar, due, now);
  overdue.set_working_minutes(static_cast<int>(absl::ToInt64Minutes(worked)));
  const absl::Duration day = UsualDay(calendar);
  if (day > absl::ZeroDuration()) overdue.set_working_days(static_cast<int>(worked / day));
  overdue.set_text(OverdueText(overdue, language));
  return overdue;
}

std::optional<absl::Time> EscalationTime(const v1::Task& task, const v1::EscalationStep& step, bool first,
                                         const WorkCalendar& calendar) {
  const absl::Time due = FromTimestamp(task.due_time());
  if (step.after_minutes() == 0 || (first && task.priority() == v1::TASK_PRIORITY_URGENT)) return due;
  return AddWorkingTime(calendar, due, absl::Minutes(step.after_minutes()));
}

v1::TaskSettings DefaultTaskSettings() {
  v1::TaskSettings settings;
  const auto add = [&](int after_minutes, int level, bool urgent) {
    v1::EscalationStep& step = *settings.add_escalation();
    step.set_after_minutes(after_minutes);
    step.set_level(level);
    step.set_urgent(urgent);
  };
  add(60, 1, false);
  add(16 * 60, 2, true);
  return settings;
}

absl::Status CheckEscalation(const v1::TaskSettings& settings) {
  for (int i = 1; i < settings.escalation_size(); ++i) {
    const auto& before = settings.escalation(i - 1);
    const auto& step = settings.escalation(i);
    const std::string field = absl::StrCat("task_settings.escalation[", i, "]");
    if (step.after_minutes() <= before.after_minutes()) {
      return FieldError(field + ".after_minutes", "comes no later than the step before it; order the steps by time");
    }
    if (step.level() < before.level()) {
      return FieldError(field + ".level", "is lower than that of the step before it; escalation goes upwards");
    }
  }
  return absl::OkStatus();
}

}  // namespace crm::scheduler
