#include "services/messaging/handlers/webhook_change.h"

#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

absl::Status CheckWebhook(const Call& call, const Messaging& app, v1::Webhook& webhook) {
  CRM_TRY(CheckText(webhook.name(), "webhook.name", 100));
  CRM_TRY(const WebhookUrl url, ParseWebhookUrl(webhook.url(), app.settings.guard));
  // A literal address is judged at once; a name, which may point elsewhere tomorrow, when it is posted to.
  boost::system::error_code no_address;
  const auto address = boost::asio::ip::make_address(url.host, no_address);
  if (!no_address && !app.settings.guard.MayReach(address)) {
    return FieldError("webhook.url", "is an address inside a private network, which is not reached from here");
  }
  webhook.set_url(url.url);
  const bool sees = call.principal.kind == Principal::Kind::kService || call.principal.rights->personal_data;
  if (webhook.personal_data() && !sees) {
    return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
                 "you cannot have personal data sent, because you may not see it yourself",
                 {{"right", "personal_data"}});
  }
  return absl::OkStatus();
}

bool MaySeeDeliveries(const Call& call) {
  return call.ScopeOf("webhook", type::v1::ACTION_READ) == type::v1::SCOPE_ALL;
}

absl::Status NoSecretsKept() {
  return StateError("this installation cannot keep secrets: the operator has set no messaging.secrets_key_file");
}

}  // namespace crm::messaging
