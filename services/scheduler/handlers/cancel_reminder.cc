#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/scheduler/reminders.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Calls a reminder off.
Async<v1::Reminder> ReminderService::CancelReminder(Call& call, const v1::CancelReminderRequest& request) {
  CRM_CO_TRY(v1::Reminder before, co_await db_.Get(call, reminders_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (before.status() != v1::REMINDER_STATUS_PENDING) {
    co_return StateError("the reminder has fired or was called off already");
  }
  v1::Reminder after = before;
  after.set_status(v1::REMINDER_STATUS_CANCELLED);
  after.set_cancel_reason(request.reason());
  *after.mutable_close_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Reminder> {
    ChangeReminder(batch, app_, before, after, "cancelled");
    return after;
  }));
  co_return pg::Shown(call, reminders_, std::move(stored));
}

}  // namespace crm::scheduler
