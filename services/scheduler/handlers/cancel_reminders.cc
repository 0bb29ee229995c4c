#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/reminders.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Calls off what is linked to a record, as far as the caller may change it.
Async<v1::CancelRemindersResponse> ReminderService::CancelReminders(Call& call,
                                                                    const v1::CancelRemindersRequest& request) {
  ReminderLinks links;
  links.task_id = request.task_id();
  links.contact_id = request.contact_id();
  links.deal_id = request.deal_id();
  links.conversation_id = request.conversation_id();
  if (links.empty())
    co_return FieldError("deal_id", "or another link is needed: it says which reminders are called off");
  if (!links.task_id.empty()) {
    CRM_CO_TRY(co_await ReadTask(app_, call, links.task_id));
  }
  CRM_CO_TRY(std::vector<v1::Reminder> found, co_await FindPending(app_, call, links, request.stop()));
  std::erase_if(found, [&](const v1::Reminder& reminder) {
    return !pg::MayDo(call, reminders_, reminder, type::v1::ACTION_UPDATE);
  });
  co_return co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::CancelRemindersResponse> {
    CancelPending(batch, app_, found, request.reason());
    v1::CancelRemindersResponse response;
    for (const v1::Reminder& reminder : found) response.add_reminder_ids(reminder.id());
    return response;
  });
}

}  // namespace crm::scheduler
