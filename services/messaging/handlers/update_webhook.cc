#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/webhook_events.pb.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Changes a webhook. Switched off, it gives up what waits; switched on again, it counts failures anew.
Async<v1::Webhook> WebhookService::UpdateWebhook(Call& call, const v1::UpdateWebhookRequest& request) {
  CRM_CO_TRY(v1::Webhook before, co_await db_.Get(call, table_, request.webhook().id()));
  CRM_CO_TRY(v1::Webhook after, pg::Patched(call, before, request.webhook(), request.update_mask(), request.etag()));
  CRM_CO_TRY(CheckWebhook(call, app_, after));
  if (before.enabled() != after.enabled()) after.clear_disable_reason();
  co_return co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Webhook> {
    batch.Update(table_, before, after);
    const auto key = pg::Params().Id(call.tenant()).Id(UuidOf(after.id()));
    if (before.enabled() && !after.enabled()) {
      batch.Add(sql::kFailDeliveries, pg::Params(key).Text("the webhook was switched off"));
    }
    if (!before.enabled() && after.enabled()) batch.Add(sql::kClearFailing, key);
    v1::WebhookUpdated event;
    *event.mutable_webhook() = after;
    pg::NewEvent about = pg::EventOf(table_, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  });
}

}  // namespace crm::messaging
