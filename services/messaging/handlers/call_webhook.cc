#include <absl/strings/str_cat.h>
#include <google/protobuf/struct.pb.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/json/json.h"
#include "common/pg/records.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Puts a body of the caller's on its way, as a delivery.
Async<v1::Delivery> WebhookService::CallWebhook(Call& call, const v1::CallWebhookRequest& request) {
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, request.id()));
  if (!webhook.enabled()) co_return StateError("the webhook is off; enable it first");
  if (request.personal_data() && !webhook.personal_data()) {
    co_return FieldError("personal_data", "must not be true: this webhook takes none");
  }
  google::protobuf::Struct object;
  const absl::Status json = json::Read(request.body(), object);
  if (!json.ok()) {
    co_return FieldError("body", absl::StrCat("must be the text of a JSON object: ", json.message()));
  }
  if (!request.record_id().empty()) CRM_CO_TRY(co_await webhooks_.check_record(call, request.record_id()));

  const bool rule = call.principal.kind == Principal::Kind::kService;
  v1::WebhookCall payload;
  payload.set_body(request.body());
  payload.set_personal_data(request.personal_data());
  events::v1::Event event;
  event.set_tenant_id(call.principal.tenant_id());
  event.set_service(rule ? "scheduler" : "messaging");
  event.set_type(rule ? "rule.called" : "webhook.called");
  event.set_record_id(request.record_id());
  event.set_actor_id(call.principal.user_id);
  *event.mutable_time() = ToTimestamp(call.now());
  event.mutable_payload()->PackFrom(payload);

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
    request.record_id().empty() ? params.Null() : params.Text(request.record_id());
    batch.Add(sql::kPutDelivery, params.Time(call.now()).Bytes(event.SerializeAsString()));
    return delivery;
  }));
  webhooks_.wake();
  co_return stored;
}

}  // namespace crm::messaging
