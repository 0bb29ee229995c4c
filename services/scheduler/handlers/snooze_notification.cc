#include "common/base/error.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/change_notification.h"

namespace crm::scheduler {

// Puts one away until a moment.
Async<v1::Notification> NotificationService::SnoozeNotification(Call& call,
                                                                const v1::SnoozeNotificationRequest& request) {
  const Call own = InboxCall(call);
  CRM_CO_TRY(absl::Time now, co_await DueNow(db_, call));
  CRM_CO_TRY(v1::Notification before, co_await db_.Get(own, notifications_, request.id(), type::v1::ACTION_UPDATE));
  if (FromTimestamp(request.until_time()) <= now) co_return StateError("until_time has passed; name a later moment");
  v1::Notification after = before;
  *after.mutable_snooze_time() = request.until_time();
  co_return co_await StoreNotification(app_, own, before, std::move(after));
}

}  // namespace crm::scheduler
