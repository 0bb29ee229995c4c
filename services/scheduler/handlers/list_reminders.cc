#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists reminders by filter and order.
Async<v1::ListRemindersResponse> ReminderService::ListReminders(Call& call, const v1::ListRemindersRequest& request) {
  co_return co_await pg::ListReply<v1::ListRemindersResponse>(db_, call, reminders_, request);
}

}  // namespace crm::scheduler
