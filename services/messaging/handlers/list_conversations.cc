#include <vector>

#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists them by filter and order, each with what the caller has not read of it; newest letter first.
Async<v1::ListConversationsResponse> ConversationService::ListConversations(
    Call& call, const v1::ListConversationsRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  args.default_order = "last_message_time desc";
  CRM_CO_TRY(auto response,
             co_await pg::ListShown(db_, call, conversations_, request,
                                    &v1::ListConversationsResponse::mutable_conversations, std::move(args)));
  std::vector<v1::Conversation*> all;
  for (auto& conversation : *response.mutable_conversations()) all.push_back(&conversation);
  CRM_CO_TRY(co_await FillUnread(app_, call, all));
  co_return response;
}

}  // namespace crm::messaging
