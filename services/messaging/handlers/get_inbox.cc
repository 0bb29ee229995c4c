#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Counts what the caller may see, each count up to a limit.
Async<v1::Inbox> ConversationService::GetInbox(Call& call, const v1::GetInboxRequest&) {
  pg::Params params;
  params.Int(call.ScopeOf("conversation", type::v1::ACTION_READ));
  const auto me = ParseId(call.principal.user_id);
  if (me.ok() && me->prefix == "user") {
    params.Id(me->uuid);
  } else {
    params.Null();
  }
  params.IdArray(call.principal.teams).Text(call.principal.user_id);
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kCountOpen, params, pg::Work::kList));
  v1::Inbox inbox;
  inbox.set_open_count(static_cast<int32_t>(rows.Int(0, 0)));
  inbox.set_waiting_count(static_cast<int32_t>(rows.Int(0, 1)));
  inbox.set_unread_count(static_cast<int32_t>(rows.Int(0, 2)));
  inbox.set_own_count(static_cast<int32_t>(rows.Int(0, 3)));
  co_return inbox;
}

}  // namespace crm::messaging
