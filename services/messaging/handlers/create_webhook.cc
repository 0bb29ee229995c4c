#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/webhook_events.pb.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Makes a webhook with a secret of its own, which this answer alone tells.
Async<v1::Webhook> WebhookService::CreateWebhook(Call& call, const v1::CreateWebhookRequest& request) {
  v1::Webhook webhook;
  webhook.set_name(request.webhook().name());
  webhook.set_url(request.webhook().url());
  *webhook.mutable_event_types() = request.webhook().event_types();
  webhook.set_enabled(request.webhook().enabled());
  webhook.set_personal_data(request.webhook().personal_data());
  CRM_CO_TRY(CheckWebhook(call, app_, webhook));
  if (!app_.settings.secrets) co_return NoSecretsKept();
  pg::StampNew(call, table_, webhook);
  const std::string secret = NewWebhookSecret();
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Webhook> {
    batch.Insert(table_, webhook);
    const std::string sealed = app_.settings.secrets->Seal(secret, WebhookSecretContext(call.tenant(), webhook.id()));
    batch.Add(sql::kPutWebhookSecret, pg::Params().Id(call.tenant()).Id(UuidOf(webhook.id())).Bytes(sealed));
    v1::WebhookCreated event;
    *event.mutable_webhook() = webhook;
    batch.Emit(pg::EventOf(table_, "created", webhook), event);
    return webhook;
  }));
  // A request that was sent twice is answered by what was stored, and that is without the secret: it is told once.
  if (stored.id() == webhook.id()) stored.set_secret(secret);
  co_return pg::Shown(call, table_, std::move(stored));
}

}  // namespace crm::messaging
