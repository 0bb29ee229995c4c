#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Posts a delivery again, whatever became of it; what waits already is let be.
Async<v1::Delivery> WebhookService::ReplayDelivery(Call& call, const v1::ReplayDeliveryRequest& request) {
  if (!MaySeeDeliveries(call)) co_return NotFound(request.id());
  CRM_CO_TRY(const v1::Delivery before, co_await db_.Get(call, deliveries_, request.id()));
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, before.webhook_id(), type::v1::ACTION_READ,
                                                         /*show_deleted=*/true));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  const bool waits = before.status() == v1::DELIVERY_STATUS_PENDING;
  v1::Delivery after = before;
  if (!waits) {
    after.set_status(v1::DELIVERY_STATUS_PENDING);
    after.set_attempt_count(0);
    after.clear_error();
    *after.mutable_next_attempt_time() = ToTimestamp(call.now());
    pg::Touch(call, before, after);
  }
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Delivery> {
    if (!waits) batch.Update(deliveries_, before, after);
    return after;
  }));
  webhooks_.wake();
  co_return stored;
}

}  // namespace crm::messaging
