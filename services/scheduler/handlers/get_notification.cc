#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Answers one of the caller's notifications.
Async<v1::Notification> NotificationService::GetNotification(Call& call, const v1::GetNotificationRequest& request) {
  const Call own = InboxCall(call);
  co_return co_await pg::GetShown(db_, own, notifications_, request.id());
}

}  // namespace crm::scheduler
