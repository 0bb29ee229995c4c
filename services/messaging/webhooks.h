// Webhooks: events become deliveries in the batch that moves the consumer's position, so each event makes one for each
// webhook that wants it; a sender posts them until they are taken. Signed as Standard Webhooks says; addresses are looked
// up once, must be public, and the connection goes to exactly them.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/events/consumer.h"
#include "common/pg/statement.h"
#include "common/pg/table.h"
#include "common/rpc/client.h"
#include "common/rpc/service.h"
#include "crm/events/v1/event.pb.h"
#include "crm/messaging/v1/webhook.pb.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// How long the secret before a rotation still signs.
inline constexpr absl::Duration kFormerSecretTime = absl::Hours(24);

// What the operator sets.
struct WebhookSettings {
  absl::Duration retry = absl::Seconds(5);             // after the first failure; see WebhookDelay
  absl::Duration disable_after = absl::Hours(5 * 24);  // of nothing but failures
};

struct WebhookTables {
  pg::Table<v1::Webhook> webhooks{"messaging"};
  pg::Table<v1::Delivery> deliveries{"messaging"};
};

struct Webhooks {
  Messaging& app;
  rpc::Client& scheduler;  // who tells people
  WebhookSettings settings;
  // OK if there is such a record and the caller may read it.
  std::function<Async<>(const Call&, std::string record_id)> check_record;
  WebhookTables tables{};
  std::function<void()> wake = [] {};  // there is something to post
};

// ---- what can be said without a database ----

struct WebhookUrl {
  std::string url;   // as it is posted to
  std::string host;  // as it is looked up
  int port = 443;
};
// INVALID_ARGUMENT naming webhook.url unless it is https (http only to hosts that the operator allows) without user,
// password and fragment.
absl::StatusOr<WebhookUrl> ParseWebhookUrl(const std::string& url, const NetGuard& guard);

// "whsec_" and 32 random bytes in base64.
std::string NewWebhookSecret();
// The header webhook-signature: one "v1,..." for each secret, separated by spaces (HMAC-SHA-256 of id.timestamp.body).
std::string SignWebhook(const std::vector<std::string>& secrets, absl::string_view id, int64_t timestamp,
                        absl::string_view body);

// What is posted for an event; of a call (CallWebhook) the caller's own body, or FAILED_PRECONDITION if it holds personal data and
// may not.
absl::StatusOr<std::string> WebhookBody(const events::v1::Event& event, bool personal_data);

// How long to wait after attempt `attempt` (from 1) has failed, `jitter` from 0 to 1; nullopt when it was the last. About
// three days in all, with the default `retry`.
std::optional<absl::Duration> WebhookDelay(int attempt, absl::Duration retry, double jitter);
inline constexpr int kWebhookAttemptsMax = 11;

// What an attempt came to.
struct WebhookAnswer {
  int status = 0;              // HTTP; 0: none
  std::string body;            // its beginning
  std::string error;           // empty for 2xx
  absl::Duration retry_after;  // as the answer asks
  int duration_ms = 0;
};
struct WebhookPost {
  std::string url;
  std::string id, signature, body;
  int64_t timestamp = 0;
};
// Posts once. Blocks; never throws.
WebhookAnswer PostWebhook(const WebhookPost& post, const NetGuard& guard);

// ---- with one ----

// Deliveries of everything that the producer tells. Registered beside the service's other effects.
void HearForWebhooks(events::Consumer& consumer, Webhooks& webhooks, const std::string& producer);

// Drops deliveries that are older than so many days, some at a time (common/app/pruning.h).
const pg::Statement& PruneDeliveries();
inline constexpr int kDeliveryDays = 30;

// Posts what is due, until it is cancelled; what is under way then may end.
class WebhookSender {
 public:
  // Posts once and hears the answer. Blocks.
  using PostOnce = std::function<WebhookAnswer(const WebhookPost&)>;
  // Does a work that blocks beside the loop; answers when it is done.
  using Offload = std::function<Async<>(std::function<void()> work)>;

  // `holder`: this process among its replicas, the same after a restart. Without an `offload` the sender has a pool of its own.
  WebhookSender(Webhooks& webhooks, std::string holder, PostOnce post_once = {}, Offload offload = {});
  ~WebhookSender();
  Async<> Run(Call call);
  void Wake();  // thread-safe

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

class WebhookService final : public rpc::Service {
 public:
  explicit WebhookService(Webhooks& webhooks)
      : rpc::Service("crm.messaging.v1.WebhookService"),
        webhooks_(webhooks),
        app_(webhooks.app),
        db_(webhooks.app.db),
        table_(webhooks.tables.webhooks),
        deliveries_(webhooks.tables.deliveries) {}

  CRM_RPC(CreateWebhook, v1::CreateWebhookRequest, v1::Webhook)
  CRM_RPC(GetWebhook, v1::GetWebhookRequest, v1::Webhook)
  CRM_RPC(ListWebhooks, v1::ListWebhooksRequest, v1::ListWebhooksResponse)
  CRM_RPC(UpdateWebhook, v1::UpdateWebhookRequest, v1::Webhook)
  CRM_RPC(DeleteWebhook, v1::DeleteWebhookRequest, v1::Webhook)
  CRM_RPC(RotateWebhookSecret, v1::RotateWebhookSecretRequest, v1::Webhook)
  CRM_RPC(TestWebhook, v1::TestWebhookRequest, v1::Delivery)
  CRM_RPC(CallWebhook, v1::CallWebhookRequest, v1::Delivery)
  CRM_RPC(ReplayWebhook, v1::ReplayWebhookRequest, v1::ReplayWebhookResponse)
  CRM_RPC(GetDelivery, v1::GetDeliveryRequest, v1::Delivery)
  CRM_RPC(ListDeliveries, v1::ListDeliveriesRequest, v1::ListDeliveriesResponse)
  CRM_RPC(ReplayDelivery, v1::ReplayDeliveryRequest, v1::Delivery)

 private:
  Async<v1::Delivery> Queue(Call& call, const v1::Webhook& webhook, events::v1::Event event);

  Webhooks& webhooks_;
  Messaging& app_;
  pg::Db& db_;
  const pg::Table<v1::Webhook>& table_;
  const pg::Table<v1::Delivery>& deliveries_;
};

// What seals a webhook's secret, so that a row copied elsewhere opens nothing.
std::string WebhookSecretContext(const Uuid& tenant, const std::string& webhook_id);

}  // namespace crm::messaging
