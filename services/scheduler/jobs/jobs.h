// What happens when timers come due.
#pragma once

#include <vector>

#include "common/app/pruning.h"
#include "crm/app/v1/config.pb.h"
#include "services/scheduler/service.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

// task_due, task_remind, task_escalate.
void FireTasks(Timers& timers, App& app);
// reminder.
void FireReminders(Timers& timers, App& app);
// notification_snooze.
void FireSnoozes(Timers& timers, App& app);

// What is only kept for a time, and how long: read notifications, the log of rules.
std::vector<crm::app::Pruning> Prunings(const crm::app::v1::Config::Scheduler& config);

}  // namespace crm::scheduler
