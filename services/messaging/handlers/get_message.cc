#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Answers one as the caller may see it.
Async<v1::Message> MessageService::GetMessage(Call& call, const v1::GetMessageRequest& request) {
  co_return co_await pg::GetShown(db_, call, messages_, request.id());
}

}  // namespace crm::messaging
