#include "common/pg/records.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Answers one webhook, without its secret.
Async<v1::Webhook> WebhookService::GetWebhook(Call& call, const v1::GetWebhookRequest& request) {
  co_return co_await pg::GetShown(db_, call, table_, request.id());
}

}  // namespace crm::messaging
