#include <vector>

#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Remembers how far the caller has read. Reading is no change of the conversation: its version stays.
Async<v1::Conversation> ConversationService::ReadConversation(Call& call, const v1::ReadConversationRequest& request) {
  CRM_CO_TRY(v1::Conversation found, co_await db_.Get(call, conversations_, request.id()));
  int64_t count = found.inbound_count();
  if (!request.message_id().empty()) {
    const Call own = app_.own_call(call.tenant());
    CRM_CO_TRY(v1::Message last, co_await db_.Get(own, messages_, request.message_id()));
    if (last.conversation_id() != found.id()) co_return FieldError("message_id", "is no letter of this conversation");
    const auto until = pg::Params().Id(UuidOf(found.id())).Id(UuidOf(request.message_id()));
    CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kCountInboundUntil, until));
    count = rows.Int(0, 0);
  }
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Conversation> {
    batch.Add(sql::kPutReadState,
              pg::Params().Id(call.tenant()).Text(call.principal.user_id).Id(UuidOf(found.id())).Int(count));
    v1::ConversationRead event;
    *event.mutable_conversation() = found;
    event.set_user_id(call.principal.user_id);
    event.set_whole(count >= found.inbound_count());
    batch.Emit(pg::EventOf(conversations_, "read", found), event);
    return found;
  }));
  v1::Conversation shown = pg::Shown(call, conversations_, std::move(stored));
  std::vector<v1::Conversation*> all = {&shown};
  CRM_CO_TRY(co_await FillUnread(app_, call, all));
  co_return shown;
}

}  // namespace crm::messaging
