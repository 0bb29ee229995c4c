// covers: services/messaging/webhook_post.cc#Part,ParseWebhookUrl,SignWebhook services/messaging/net_guard.cc#Inside,IsPublic4,IsPublic,Make,MayReach,Allows
// Addresses that tenants choose (libcurl reads them), the wall around them, and what is posted there.
#include <absl/strings/match.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/stubs/logging.h>

#include <nlohmann/json.hpp>

#include "services/messaging/net_guard.h"
#include "services/messaging/webhooks.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(webhook) {
  using namespace crm;
  static const google::protobuf::LogSilencer quiet;
  static const auto closed = messaging::NetGuard::Make({});
  const std::string first(input.Line());
  if (!IsUtf8(first)) return;  // refused before, by what carries it
  const absl::string_view rest = input.Rest();
  const auto url = messaging::ParseWebhookUrl(first, *closed);
  if (url.ok()) {
    fuzz::Require(absl::StartsWith(url->url, "https://"), "only over TLS", url->url);
    fuzz::Require(!url->host.empty() && url->port > 0 && url->port <= 65535, "a host and a port", url->url);
    fuzz::Require(url->url.find_first_of(" @#\r\n") == std::string::npos || absl::StrContains(url->url, "?") ||
                      absl::StrContains(url->url.substr(8), "/"),
                  "no user, no fragment", url->url);
    const auto again = messaging::ParseWebhookUrl(url->url, *closed);
    fuzz::Require(again.ok() && again->host == url->host && again->port == url->port && again->url == url->url,
                  "an address is read as it is posted to", url->url);
  } else {
    fuzz::RequireRefusal(url.status());
  }
  const auto guard = messaging::NetGuard::Make(absl::StrSplit(first, ','));
  if (!guard.ok()) {
    fuzz::RequireRefusal(guard.status());
  } else {
    for (const char* address : {"10.0.0.1", "::1", "8.8.8.8", "2001:db8::1"}) {
      guard->MayReach(boost::asio::ip::make_address(address));
      guard->Allows(address);
    }
  }

  const std::string signature =
      messaging::SignWebhook({first, messaging::NewWebhookSecret()}, "msg_1", 1795424400, rest);
  for (absl::string_view each : absl::StrSplit(signature, ' ')) {
    fuzz::Require(absl::StartsWith(each, "v1,") && each.size() == 3 + 44, "a signature has its form", signature);
  }
  events::v1::Event event;
  if (!event.ParseFromArray(rest.data(), static_cast<int>(rest.size()))) return;
  for (const bool personal : {false, true}) {
    const auto body = messaging::WebhookBody(event, personal);
    if (body.ok()) fuzz::Require(nlohmann::json::accept(*body), "what is posted is JSON", *body);
  }
}
