#include "common/base/status.h"
#include "services/scheduler/service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

// Counts what the caller has not read. An API key has no inbox.
Async<v1::UnreadCount> NotificationService::GetUnreadCount(Call& call, const v1::GetUnreadCountRequest&) {
  v1::UnreadCount answer;
  auto me = ParseId(call.principal.user_id);
  if (!me.ok() || me->prefix != "user") co_return answer;
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kCountUnread, pg::Params().Id(me->uuid)));
  answer.set_count(static_cast<int>(rows.Int(0, 0)));
  answer.set_urgent_count(static_cast<int>(rows.Int(0, 1)));
  co_return answer;
}

}  // namespace crm::scheduler
