// What a task may become: pure decisions over the record.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "crm/scheduler/v1/task.pb.h"
#include "services/scheduler/rules/working_time.h"

namespace crm::scheduler {

// Open or in progress, and not deleted.
bool IsOpen(const v1::Task& task);

// A new task's defaults and checks: kind, priority, status, checklist ids, recurrence with its first occurrence.
absl::Status BeginTask(v1::Task& task, absl::Time now);
// After an update by mask: the same checks, and what follows from a new due time (not overdue any more) or assignee.
absl::Status CheckTask(const v1::Task& before, v1::Task& after, absl::Time now);

// Each answers the task as it shall be, or STATE_INVALID.
absl::StatusOr<v1::Task> Start(const v1::Task& task, absl::Time now);
absl::StatusOr<v1::Task> Complete(const v1::Task& task, const std::string& result, int open_subtasks, absl::Time now);
absl::StatusOr<v1::Task> Cancel(const v1::Task& task, const std::string& reason, absl::Time now);
absl::StatusOr<v1::Task> Reopen(const v1::Task& task, std::optional<absl::Time> due, absl::Time now);
absl::StatusOr<v1::Task> Check(const v1::Task& task, const std::string& item_id, bool done);

// The next of the series with its own id, or nullopt at the series' end, or if it has been made. The checklist starts
// unticked.
std::optional<v1::Task> NextOccurrence(const v1::Task& task, absl::TimeZone zone);

// How late the task is at `now`; absent fields' zero when it is not. `language` is that of the text.
v1::Overdue OverdueOf(const v1::Task& task, const WorkCalendar& calendar, absl::Time now, const std::string& language);

// When the steps of escalation after the due time come; nullopt where there is no working time any more. An urgent task's
// first step comes at once.
std::optional<absl::Time> EscalationTime(const v1::Task& task, const v1::EscalationStep& step, bool first,
                                         const WorkCalendar& calendar);
// The settings of a tenant that has none of its own.
v1::TaskSettings DefaultTaskSettings();
// INVALID_ARGUMENT unless steps come later and later, and never lower.
absl::Status CheckEscalation(const v1::TaskSettings& settings);

}  // namespace crm::scheduler
