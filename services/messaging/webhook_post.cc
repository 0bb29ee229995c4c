// One webhook posted: address, signature, body, answer.
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <curl/curl.h>
#include <google/protobuf/dynamic_message.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/hidden.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "services/messaging/trust.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {
namespace webhook_post {

namespace pb = google::protobuf;

constexpr absl::string_view kSecretPrefix = "whsec_";
constexpr size_t kSecretBytes = 32;
// What of an answer is read: enough for an error's text; who sends more is not listened to.
constexpr size_t kAnswerBytesMax = 16 << 10;
constexpr size_t kAnswerShown = 1000;
constexpr long kConnectMs = 5000;
constexpr long kTotalMs = 15000;
// Longer waits that an answer asks for are ours to decide.
constexpr int64_t kRetryAfterMax = 3600;

// After attempt 1, 2 ..., in units of the first: 5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
constexpr int kDelays[] = {1, 6, 60, 360, 1440, 3600, 7200, 10080, 14400, 17280};
static_assert(std::size(kDelays) + 1 == kWebhookAttemptsMax);

absl::Status BadUrl(absl::string_view why) { return FieldError("webhook.url", std::string(why)); }

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  std::string out;
  if (curl_url_get(url, part, &text, flags) == CURLUE_OK && text != nullptr) out = text;
  curl_free(text);
  return out;
}

size_t Collect(char* data, size_t size, size_t count, void* out) {
  auto& body = *static_cast<std::string*>(out);
  const size_t bytes = size * count;
  body.append(data, std::min(bytes, kAnswerBytesMax - std::min(kAnswerBytesMax, body.size())));
  // Fewer than were given ends the transfer: that is meant.
  return body.size() >= kAnswerBytesMax ? 0 : bytes;
}

struct CurlFree {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

}  // namespace webhook_post

absl::StatusOr<WebhookUrl> ParseWebhookUrl(const std::string& text, const NetGuard& guard) {
  namespace wp = webhook_post;
  if (!IsClean(text)) return wp::BadUrl("holds characters that no address has");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '\\') return wp::BadUrl("holds characters that no address has");
    if (static_cast<unsigned char>(c) >= 0x80) return wp::BadUrl("must be ASCII: write a name in its xn-- form");
  }
  std::unique_ptr<CURLU, wp::CurlFree> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return wp::BadUrl("is no address; write it like https://example.com/hook");
  }
  WebhookUrl parsed;
  const std::string scheme = absl::AsciiStrToLower(wp::Part(url.get(), CURLUPART_SCHEME));
  parsed.host = wp::Part(url.get(), CURLUPART_HOST, CURLU_URLDECODE);
  if (!wp::Part(url.get(), CURLUPART_USER).empty() || !wp::Part(url.get(), CURLUPART_PASSWORD).empty()) {
    return wp::BadUrl("must not hold a user or password: requests are told by their signature");
  }
  if (!wp::Part(url.get(), CURLUPART_FRAGMENT).empty()) return wp::BadUrl("must not hold a fragment (#...)");
  if (parsed.host.size() > 2 && parsed.host.front() == '[') parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  // A host may have been written with escapes, of any bytes.
  const auto of_host = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(".-_:", c);
  };
  if (parsed.host.empty() || !std::all_of(parsed.host.begin(), parsed.host.end(), of_host)) {
    return wp::BadUrl("names no host");
  }
  if (scheme == "http" && !guard.Allows(parsed.host)) return wp::BadUrl("must begin with https://");
  if (scheme != "https" && scheme != "http") return wp::BadUrl("must begin with https://");
  if (!absl::SimpleAtoi(wp::Part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), &parsed.port)) {
    return wp::BadUrl("has no port that there is");
  }
  parsed.url = wp::Part(url.get(), CURLUPART_URL);
  // libcurl takes "2130%33" for a name, and what it is decoded to for an address.
  std::unique_ptr<CURLU, wp::CurlFree> again(curl_url());
  if (curl_url_set(again.get(), CURLUPART_URL, parsed.url.c_str(), 0) != CURLUE_OK ||
      wp::Part(again.get(), CURLUPART_HOST) != wp::Part(url.get(), CURLUPART_HOST)) {
    return wp::BadUrl("must name its host as it is, without escapes");
  }
  return parsed;
}

std::string NewWebhookSecret() {
  std::array<unsigned char, webhook_post::kSecretBytes> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  return absl::StrCat(webhook_post::kSecretPrefix,
                      absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

std::string SignWebhook(const std::vector<std::string>& secrets, absl::string_view id, int64_t timestamp,
                        absl::string_view body) {
  const std::string signed_text = absl::StrCat(id, ".", timestamp, ".", body);
  std::vector<std::string> signatures;
  for (const std::string& secret : secrets) {
    std::string key;
    if (!absl::StartsWith(secret, webhook_post::kSecretPrefix) ||
        !absl::Base64Unescape(absl::string_view(secret).substr(webhook_post::kSecretPrefix.size()), &key)) {
      continue;
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
    unsigned int length = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(), mac.data(), &length);
    signatures.push_back(
        absl::StrCat("v1,", absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(mac.data()), length))));
  }
  return absl::StrJoin(signatures, " ");
}

absl::StatusOr<std::string> WebhookBody(const events::v1::Event& event, bool personal_data) {
  namespace wp = webhook_post;
  if (event.payload().Is<v1::WebhookCall>()) {
    v1::WebhookCall own;
    if (!event.payload().UnpackTo(&own)) return absl::DataLossError("an event cannot be read");
    if (own.personal_data() && !personal_data) return StateError("what was to be posted holds personal data");
    return own.body();
  }
  std::string data = "{}";
  const std::string& type_url = event.payload().type_url();
  const auto* type =
      wp::pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type_url.substr(type_url.rfind('/') + 1));
  if (type != nullptr) {
    std::unique_ptr<wp::pb::Message> message(wp::pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
    if (!message->ParseFromString(event.payload().value())) return absl::DataLossError("an event cannot be read");
    ClearHidden(*message, personal_data);
    CRM_TRY(data, json::Writer::Generated().Write(type, message->SerializeAsString()));
  }
  std::string body = "{\"type\":";
  json::AppendString(event.type(), body);
  const absl::Time time = absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos());
  absl::StrAppend(&body, ",\"timestamp\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()),
                  "\"");
  const auto member = [&](const char* name, const std::string& value) {
    absl::StrAppend(&body, ",\"", name, "\":");
    json::AppendString(value, body);
  };
  member("record_id", event.record_id());
  member("etag", event.revision() != 0 ? absl::StrCat(event.revision()) : "");
  member("actor_id", event.actor_id());
  member("service", event.service());
  absl::StrAppend(&body, ",\"seq\":", event.seq(), ",\"changed_fields\":[");
  for (int i = 0; i < event.changed_fields_size(); ++i) {
    if (i > 0) body += ',';
    json::AppendString(event.changed_fields(i), body);
  }
  absl::StrAppend(&body, "],\"data\":", data, "}");
  return body;
}

std::optional<absl::Duration> WebhookDelay(int attempt, absl::Duration retry, double jitter) {
  if (attempt < 1 || attempt > static_cast<int>(std::size(webhook_post::kDelays))) return std::nullopt;
  // Up to a fifth more or less, so that those that failed together do not come back together.
  return retry * webhook_post::kDelays[attempt - 1] * (0.8 + 0.4 * jitter);
}

WebhookAnswer PostWebhook(const WebhookPost& post, const NetGuard& guard) {
  namespace wp = webhook_post;
  WebhookAnswer answer;
  const auto begun = std::chrono::steady_clock::now();
  const auto fail = [&](std::string why) {
    answer.error = Truncated(why, wp::kAnswerShown);
    answer.duration_ms = static_cast<int>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count());
    return answer;
  };
  const auto url = ParseWebhookUrl(post.url, guard);
  if (!url.ok()) return fail(std::string(url.status().message()));
  const auto addresses = guard.Resolve(url->host);
  if (!addresses.ok()) return fail(std::string(addresses.status().message()));
  if (addresses->empty()) return fail("the host has no address");

  std::unique_ptr<CURL, wp::CurlFree> curl(curl_easy_init());
  std::unique_ptr<curl_slist, wp::CurlFree> headers, pinned;
  const auto header = [&](const std::string& line) {
    headers.reset(curl_slist_append(headers.release(), line.c_str()));
  };
  header("Content-Type: application/json; charset=utf-8");
  header(absl::StrCat("webhook-id: ", post.id));
  header(absl::StrCat("webhook-timestamp: ", post.timestamp));
  header(absl::StrCat("webhook-signature: ", post.signature));
  header("Expect:");
  // What was looked up and found public is what is connected to: the name is not looked up again.
  std::vector<std::string> bare;
  for (const auto& address : *addresses) {
    bare.push_back(absl::StrContains(address, ":") ? absl::StrCat("[", address, "]") : address);
  }
  const std::string pin = absl::StrCat(url->host, ":", url->port, ":", absl::StrJoin(bare, ","));
  pinned.reset(curl_slist_append(nullptr, pin.c_str()));
  CURL* c = curl.get();
  static const std::string no_others;
  Trust(c, no_others);
  char error[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(c, CURLOPT_URL, url->url.c_str());
  curl_easy_setopt(c, CURLOPT_RESOLVE, pinned.get());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, wp::kConnectMs);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, wp::kTotalMs);
  curl_easy_setopt(c, CURLOPT_POST, 1L);
  curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, static_cast<long>(post.body.size()));
  curl_easy_setopt(c, CURLOPT_POSTFIELDS, post.body.data());
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_USERAGENT, "crm-webhooks/1");
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, wp::Collect);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  CRM_FAILPOINT_OF("provider.before_request", "webhook");
  const CURLcode code = curl_easy_perform(c);
  CRM_FAILPOINT_OF("provider.after_answer", "webhook");
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &retry_after);
  answer.status = static_cast<int>(status);
  answer.retry_after = absl::Seconds(std::min<int64_t>(retry_after, wp::kRetryAfterMax));
  // A long answer is cut off by us, which curl takes for an error.
  const bool cut = code == CURLE_WRITE_ERROR && answer.body.size() >= wp::kAnswerBytesMax;
  if (!IsUtf8(answer.body)) answer.body = absl::CHexEscape(answer.body);
  answer.body = Truncated(answer.body, wp::kAnswerShown);
  answer.body.erase(std::remove(answer.body.begin(), answer.body.end(), '\0'), answer.body.end());
  if (code != CURLE_OK && !cut) return fail(*error != '\0' ? error : curl_easy_strerror(code));
  if (status < 200 || status > 299) return fail(absl::StrCat("answered ", status));
  return fail("");
}

}  // namespace crm::messaging
