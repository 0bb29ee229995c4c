#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Sends a webhook an event that says nothing but that it works.
Async<v1::Delivery> WebhookService::TestWebhook(Call& call, const v1::TestWebhookRequest& request) {
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, request.id()));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  events::v1::Event event;
  event.set_tenant_id(call.principal.tenant_id());
  event.set_service("messaging");
  event.set_type("webhook.test");
  event.set_record_id(webhook.id());
  event.set_actor_id(call.principal.user_id);
  *event.mutable_time() = ToTimestamp(call.now());
  const Uuid id = NewUuid(call.now());
  pg::Batch batch(call);
  batch.Add(sql::kPutDelivery, pg::Params()
                                   .Id(call.tenant())
                                   .Id(id)
                                   .Id(UuidOf(webhook.id()))
                                   .Text(event.type())
                                   .Text(event.record_id())
                                   .Time(call.now())
                                   .Bytes(event.SerializeAsString()));
  CRM_CO_TRY(co_await db_.Write(call, std::move(batch)));
  webhooks_.wake();
  co_return co_await db_.Get(call, deliveries_, TypeId("delivery", id));
}

}  // namespace crm::messaging
