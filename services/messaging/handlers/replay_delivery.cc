#include "common/base/error.h"
#include "common/base/status.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Posts a delivery again, whatever became of it; what waits already is let be.
Async<v1::Delivery> WebhookService::ReplayDelivery(Call& call, const v1::ReplayDeliveryRequest& request) {
  if (!MaySeeDeliveries(call)) co_return NotFound(request.id());
  CRM_CO_TRY(const v1::Delivery delivery, co_await db_.Get(call, deliveries_, request.id()));
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, delivery.webhook_id(), type::v1::ACTION_READ,
                                                         /*show_deleted=*/true));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  pg::Batch batch(call);
  batch.Add(sql::kReplayDelivery, pg::Params().Id(call.tenant()).Id(UuidOf(delivery.id())));
  CRM_CO_TRY(co_await db_.Write(call, std::move(batch)));
  webhooks_.wake();
  co_return co_await db_.Get(call, deliveries_, delivery.id());
}

}  // namespace crm::messaging
