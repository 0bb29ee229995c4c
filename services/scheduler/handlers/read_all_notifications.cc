#include "common/base/status.h"
#include "common/base/time.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

// Marks all of the caller's as read that were there at a moment.
Async<v1::ReadAllNotificationsResponse> NotificationService::ReadAllNotifications(
    Call& call, const v1::ReadAllNotificationsRequest& request) {
  v1::ReadAllNotificationsResponse answer;
  auto me = ParseId(call.principal.user_id);
  if (!me.ok() || me->prefix != "user") co_return answer;
  const absl::Time before = request.has_before_time() ? FromTimestamp(request.before_time()) : call.now();
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kCountUnreadBefore, pg::Params().Id(me->uuid).Time(before)));
  answer.set_read_count(static_cast<int>(rows.Int(0, 0)));
  co_return co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::ReadAllNotificationsResponse> {
    batch.Add(sql::kReadAll, pg::Params().Id(call.tenant()).Id(me->uuid).Time(before).Time(call.now()));
    v1::NotificationRead event;
    event.set_owner_id(call.principal.user_id);
    event.set_read_count(answer.read_count());
    batch.Emit({.type = "notification.read", .record_id = call.principal.user_id, .owner_id = call.principal.user_id},
               event);
    return answer;
  });
}

}  // namespace crm::scheduler
