#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/webhook_events.pb.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Gives a webhook a new secret; for a day the former one signs beside it, so that receivers can change over. A repeat under
// the same key does not turn the former one out: it is answered by what was stored, and that is without the secret.
Async<v1::Webhook> WebhookService::RotateWebhookSecret(Call& call, const v1::RotateWebhookSecretRequest& request) {
  CRM_CO_TRY(v1::Webhook before, co_await db_.Get(call, table_, request.id()));
  if (!app_.settings.secrets) co_return NoSecretsKept();
  v1::Webhook after = before;
  pg::Touch(call, before, after);
  const std::string secret = NewWebhookSecret();
  const std::string sealed = app_.settings.secrets->Seal(secret, WebhookSecretContext(call.tenant(), after.id()));
  // Guarded by the version: of two at once, one is told that the other was first, and no secret is told that is not kept.
  pg::Batch batch(call);
  batch.Update(table_, before, after);
  batch.Add(sql::kRotateWebhookSecret,
            pg::Params().Id(call.tenant()).Id(UuidOf(after.id())).Bytes(sealed).Time(call.now() + kFormerSecretTime));
  v1::WebhookUpdated event;
  *event.mutable_webhook() = after;
  batch.Emit(pg::EventOf(table_, "updated", after), event);
  CRM_CO_TRY(const auto stored, co_await db_.OnceKept(call, std::move(batch), after.SerializeAsString()));
  if (stored && !after.ParseFromString(*stored)) co_return absl::InternalError("the stored reply cannot be read");
  if (!stored) after.set_secret(secret);
  co_return pg::Shown(call, table_, std::move(after));
}

}  // namespace crm::messaging
