#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists them by filter and order, newest first.
Async<v1::ListMessagesResponse> MessageService::ListMessages(Call& call, const v1::ListMessagesRequest& request) {
  co_return co_await pg::ListShown(db_, call, messages_, request, &v1::ListMessagesResponse::mutable_messages);
}

}  // namespace crm::messaging
