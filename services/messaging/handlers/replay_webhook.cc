#include "common/base/error.h"
#include "common/base/status.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Puts back what was given up since a moment.
Async<v1::ReplayWebhookResponse> WebhookService::ReplayWebhook(Call& call, const v1::ReplayWebhookRequest& request) {
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, request.id()));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  pg::Batch batch(call);
  batch.Add(sql::kReplayDeliveries,
            pg::Params().Id(call.tenant()).Id(UuidOf(webhook.id())).Time(FromTimestamp(request.from_time())));
  CRM_CO_TRY(auto rows, co_await db_.Write(call, std::move(batch)));
  webhooks_.wake();
  v1::ReplayWebhookResponse response;
  response.set_delivery_count(static_cast<int32_t>(rows[0].affected()));
  co_return response;
}

}  // namespace crm::messaging
