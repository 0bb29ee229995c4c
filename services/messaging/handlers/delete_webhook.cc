#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/webhook_events.pb.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Deletes a webhook and gives up what waits.
Async<v1::Webhook> WebhookService::DeleteWebhook(Call& call, const v1::DeleteWebhookRequest& request) {
  CRM_CO_TRY(v1::Webhook before, co_await db_.Get(call, table_, request.id()));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  v1::Webhook after = before;
  *after.mutable_delete_time() = ToTimestamp(call.now());
  after.set_enabled(false);
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Webhook> {
    // The right to administer webhooks is all that is asked for.
    table_.AddUpdate(batch, before, after, type::v1::ACTION_ADMINISTER);
    batch.Add(sql::kFailDeliveries,
              pg::Params().Id(call.tenant()).Id(UuidOf(after.id())).Text("the webhook was deleted"));
    v1::WebhookDeleted event;
    *event.mutable_webhook() = after;
    batch.Emit(pg::EventOf(table_, "deleted", after), event);
    return after;
  }));
  co_return pg::Shown(call, table_, std::move(stored));
}

}  // namespace crm::messaging
