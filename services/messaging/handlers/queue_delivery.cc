#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Puts an event of the caller's own making on its way to one webhook; a repeat under the same key is answered by the same
// delivery.
Async<v1::Delivery> WebhookService::Queue(Call& call, const v1::Webhook& webhook, events::v1::Event event) {
  event.set_tenant_id(call.principal.tenant_id());
  event.set_actor_id(call.principal.user_id);
  *event.mutable_time() = ToTimestamp(call.now());

  v1::Delivery delivery;
  pg::StampNew(call, deliveries_, delivery);
  delivery.set_webhook_id(webhook.id());
  delivery.set_event_type(event.type());
  delivery.set_record_id(event.record_id());
  *delivery.mutable_event_time() = event.time();
  delivery.set_status(v1::DELIVERY_STATUS_PENDING);
  *delivery.mutable_next_attempt_time() = event.time();
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Delivery> {
    pg::Params params;
    params.Id(call.tenant()).Id(UuidOf(delivery.id())).Id(UuidOf(webhook.id())).Text(event.type());
    event.record_id().empty() ? params.Null() : params.Text(event.record_id());
    batch.Add(sql::kPutDelivery, params.Time(call.now()).Bytes(event.SerializeAsString()));
    return delivery;
  }));
  webhooks_.wake();
  co_return stored;
}

}  // namespace crm::messaging
