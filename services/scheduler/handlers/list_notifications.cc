#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists the caller's notifications, newest first.
Async<v1::ListNotificationsResponse> NotificationService::ListNotifications(
    Call& call, const v1::ListNotificationsRequest& request) {
  const Call own = InboxCall(call);
  pg::ListArgs args = pg::ListArgsOf(request);
  // Each choice is a text of its own, so that the index of unread ones is used.
  args.where = request.unread() ? "t.read_time IS NULL" : "true";
  if (!request.show_snoozed()) args.where += " AND t.snooze_time IS NULL";
  args.default_order = "create_time desc";
  co_return co_await pg::ListReply<v1::ListNotificationsResponse>(db_, own, notifications_, request, std::move(args));
}

}  // namespace crm::scheduler
