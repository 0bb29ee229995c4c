#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Sends a webhook an event that says nothing but that it works.
Async<v1::Delivery> WebhookService::TestWebhook(Call& call, const v1::TestWebhookRequest& request) {
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, request.id()));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  events::v1::Event event;
  event.set_service("messaging");
  event.set_type("webhook.test");
  event.set_record_id(webhook.id());
  co_return co_await Queue(call, webhook, std::move(event));
}

}  // namespace crm::messaging
