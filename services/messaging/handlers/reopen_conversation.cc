#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Opens a conversation again.
Async<v1::Conversation> ConversationService::ReopenConversation(Call& call,
                                                                const v1::ReopenConversationRequest& request) {
  co_return co_await SetStatus(call, request.id(), request.etag(), v1::CONVERSATION_STATUS_OPEN);
}

}  // namespace crm::messaging
