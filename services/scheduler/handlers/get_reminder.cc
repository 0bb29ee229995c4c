#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Answers a reminder as the caller may see it.
Async<v1::Reminder> ReminderService::GetReminder(Call& call, const v1::GetReminderRequest& request) {
  co_return co_await pg::GetShown(db_, call, reminders_, request.id());
}

}  // namespace crm::scheduler
