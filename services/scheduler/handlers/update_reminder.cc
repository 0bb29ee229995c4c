#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/reminders.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Changes a reminder that has not fired; its timer follows.
Async<v1::Reminder> ReminderService::UpdateReminder(Call& call, const v1::UpdateReminderRequest& request) {
  CRM_CO_TRY(v1::Reminder before, co_await db_.Get(call, reminders_, request.reminder().id(), type::v1::ACTION_UPDATE));
  if (before.status() != v1::REMINDER_STATUS_PENDING) {
    co_return StateError("the reminder has fired or was called off; make a new one");
  }
  CRM_CO_TRY(v1::Reminder after, pg::Patched(call, before, request.reminder(), request.update_mask(), request.etag()));
  if (!after.has_due_time()) co_return FieldError("reminder.due_time", "is needed: a reminder has a time");
  if (after.text().empty()) co_return FieldError("reminder.text", "is needed: it is what the person is told");
  if (!after.task_id().empty() && after.task_id() != before.task_id()) {
    CRM_CO_TRY(co_await ReadTask(app_, call, after.task_id()));
  }
  CRM_CO_TRY(co_await app::FillTeam(db_, call, before, after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Reminder> {
    ChangeReminder(batch, app_, before, after, "updated");
    return after;
  }));
  co_return pg::Shown(call, reminders_, std::move(stored));
}

}  // namespace crm::scheduler
