// What happens when timers come due.
#pragma once

#include "services/scheduler/service.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

// task_due, task_remind, task_escalate.
void FireTasks(Timers& timers, App& app);
// reminder.
void FireReminders(Timers& timers, App& app);
// notification_snooze.
void FireSnoozes(Timers& timers, App& app);

}  // namespace crm::scheduler
