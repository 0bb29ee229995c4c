#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists reminders by filter and order.
Async<v1::ListRemindersResponse> ReminderService::ListReminders(Call& call, const v1::ListRemindersRequest& request) {
  co_return co_await pg::ListShown(db_, call, reminders_, request, &v1::ListRemindersResponse::mutable_reminders);
}

}  // namespace crm::scheduler
