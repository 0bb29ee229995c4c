#include "services/messaging/rules/html.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists them by filter and order, newest first; very long ones shortened.
Async<v1::ListMessagesResponse> MessageService::ListMessages(Call& call, const v1::ListMessagesRequest& request) {
  CRM_CO_TRY(auto response,
             co_await pg::ListShown(db_, call, messages_, request, &v1::ListMessagesResponse::mutable_messages));
  size_t left = kPageBytesMax;
  for (auto& message : *response.mutable_messages()) Shorten(*message.mutable_text(), *message.mutable_html(), left);
  co_return response;
}

}  // namespace crm::messaging
