#include <vector>

#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Answers one with what the caller has not read of it.
Async<v1::Conversation> ConversationService::GetConversation(Call& call, const v1::GetConversationRequest& request) {
  CRM_CO_TRY(v1::Conversation found, co_await pg::GetShown(db_, call, conversations_, request.id()));
  std::vector<v1::Conversation*> all = {&found};
  CRM_CO_TRY(co_await FillUnread(app_, call, all));
  co_return found;
}

}  // namespace crm::messaging
