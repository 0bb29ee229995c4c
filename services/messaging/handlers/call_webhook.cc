#include <absl/strings/str_cat.h>
#include <google/protobuf/struct.pb.h>

#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/json/json.h"
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
  event.set_service(rule ? "scheduler" : "messaging");
  event.set_type(rule ? "rule.called" : "webhook.called");
  event.set_record_id(request.record_id());
  event.mutable_payload()->PackFrom(payload);
  co_return co_await Queue(call, webhook, std::move(event));
}

}  // namespace crm::messaging
