#include "services/scheduler/handlers/change_notification.h"

namespace crm::scheduler {

// Marks one as read, or as unread again. What is so already is answered as it is.
Async<v1::Notification> NotificationService::ReadNotification(Call& call, const v1::ReadNotificationRequest& request) {
  const Call own = InboxCall(call);
  CRM_CO_TRY(v1::Notification before, co_await db_.Get(own, notifications_, request.id(), type::v1::ACTION_UPDATE));
  if (before.has_read_time() == !request.unread() && !before.has_snooze_time()) co_return before;
  v1::Notification after = before;
  after.clear_snooze_time();
  if (request.unread()) {
    after.clear_read_time();
  } else if (!after.has_read_time()) {
    *after.mutable_read_time() = ToTimestamp(call.now());
  }
  co_return co_await StoreNotification(app_, own, before, std::move(after));
}

}  // namespace crm::scheduler
