#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/reminders.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Makes a reminder and sets its timer.
Async<v1::Reminder> ReminderService::CreateReminder(Call& call, const v1::CreateReminderRequest& request) {
  if (!request.reminder().task_id().empty()) {
    CRM_CO_TRY(co_await ReadTask(app_, call, request.reminder().task_id()));
  }
  CRM_CO_TRY(v1::Reminder reminder, co_await PrepareReminder(app_, call, request.reminder()));
  CRM_CO_TRY(pg::CheckCreate(call, reminders_, reminder));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Reminder> {
    AddReminder(batch, app_, reminder);
    return reminder;
  }));
  co_return pg::Shown(call, reminders_, std::move(stored));
}

}  // namespace crm::scheduler
