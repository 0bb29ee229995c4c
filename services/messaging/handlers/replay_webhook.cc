#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Puts back what was given up since a moment. A repeat under the same key puts back nothing more: what has failed again since then was
// tried as asked.
Async<v1::ReplayWebhookResponse> WebhookService::ReplayWebhook(Call& call, const v1::ReplayWebhookRequest& request) {
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, request.id()));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  CRM_CO_TRY(const auto found,
             co_await db_.Read(call, sql::kFindGivenUp,
                               pg::Params().Id(UuidOf(webhook.id())).Time(FromTimestamp(request.from_time()))));
  std::vector<Uuid> given_up;
  given_up.reserve(static_cast<size_t>(found.size()));
  for (int row = 0; row < found.size(); ++row) given_up.push_back(found.Id(row, 0));
  v1::ReplayWebhookResponse response;
  response.set_delivery_count(found.size());
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::ReplayWebhookResponse> {
    batch.Add(sql::kReplayDeliveries, pg::Params().Id(call.tenant()).IdArray(given_up).Time(call.now()));
    return response;
  }));
  webhooks_.wake();
  co_return stored;
}

}  // namespace crm::messaging
