#include "services/gateway/caller.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <openssl/crypto.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "crm/identity/v1/api_key.pb.h"
#include "crm/identity/v1/session.pb.h"
#include "services/gateway/limiter.h"

namespace crm::gateway {
namespace caller {

absl::Status NotAccepted(std::string text) {
  return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID, std::move(text));
}

// What identity says about a key or cookie that it does not know, in the words of the edge.
absl::Status Refused(const absl::Status& status, bool cookie) {
  if (status.code() != absl::StatusCode::kUnauthenticated && status.code() != absl::StatusCode::kNotFound &&
      status.code() != absl::StatusCode::kInvalidArgument) {
    return status;
  }
  return NotAccepted(cookie ? "the session is over: sign in again" : "the API key is not known or was revoked");
}

absl::Status CsrfMissing() {
  return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_CSRF_TOKEN_INVALID,
               "requests that change something and come with the session cookie need the header X-CSRF-Token with the "
               "csrf_token that the sign-in answered");
}

std::string HexSha256(std::string_view text) {
  std::string hex;
  for (uint8_t byte : rpc::Sha256(absl::string_view(text.data(), text.size())))
    absl::StrAppend(&hex, absl::Hex(byte, absl::kZeroPad2));
  return hex;
}

bool SameHash(const std::string& a, const std::string& b) {
  return a.size() == b.size() && !a.empty() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool IsSafe(const std::string& method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

// The exchange is the gateway's own call: as the service, without a token.
Call ExchangeCall(const Call& call) {
  Call own = call;
  own.principal = Principal();
  own.principal.kind = Principal::Kind::kService;
  own.principal.user_id = "service_gateway";
  own.token.clear();
  own.idempotency_key.clear();
  return own;
}

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace caller

Async<Callers::Traded> Callers::Trade(const std::string& secret, bool cookie, const Call& call) {
  const Hash hash = rpc::Sha256(secret);
  {
    std::lock_guard lock(mutex_);
    auto it = traded_.find(hash);
    if (it != traded_.end() && it->second.expire_time - kRenewBefore > call.start) co_return it->second;
  }
  CRM_CO_TRY(rpc::Client * identity, peers_.Find("identity"));
  const Call own = caller::ExchangeCall(call);
  Traded traded;
  if (cookie) {
    identity::v1::ExchangeSessionRequest request;
    request.set_cookie_secret(secret);
    CRM_CO_TRY(auto answer, co_await identity->Unary<identity::v1::ExchangeSessionResponse>(
                                own, "crm.identity.v1.SessionService.ExchangeSession", request));
    traded = {answer.access_token(), caller::TimeOf(answer.expire_time()), answer.csrf_hash(), answer.session_id()};
  } else {
    identity::v1::ExchangeApiKeyRequest request;
    request.set_secret(secret);
    CRM_CO_TRY(auto answer, co_await identity->Unary<identity::v1::ExchangeApiKeyResponse>(
                                own, "crm.identity.v1.ApiKeyService.ExchangeApiKey", request));
    traded = {answer.access_token(), caller::TimeOf(answer.expire_time()), "", ""};
  }
  if (traded.token.empty()) co_return absl::InternalError("identity answered no token");
  std::lock_guard lock(mutex_);
  if (traded_.size() >= kKeptMax) traded_.clear();
  traded_[hash] = traded;
  co_return traded;
}

Async<Caller> Callers::Resolve(const HttpRequest& request, const Call& call) {
  Caller out;
  Traded traded;
  std::string_view authorization = request.Header("Authorization");
  if (!authorization.empty()) {
    absl::string_view text(authorization.data(), authorization.size());
    // Of two headers, who stands in between might have checked the other one.
    if (!absl::StartsWithIgnoreCase(text, "Bearer ") || text.size() < 8 || request.Repeats("Authorization")) {
      co_return caller::NotAccepted("the Authorization header must be `Bearer <token or API key>`, once");
    }
    text.remove_prefix(7);
    if (absl::StartsWith(text, "crm_")) {
      out.secret = std::string(text);
    } else {
      out.token = std::string(text);
    }
  } else {
    std::string_view cookie = request.Cookie(kSessionCookie);
    if (cookie.empty()) co_return out;
    out.secret = std::string(cookie);
    out.by_cookie = true;
  }
  if (!out.secret.empty()) {
    // What identity's own rules would refuse anyway is not worth a call.
    if (out.secret.size() < 20 || out.secret.size() > 200) {
      co_return caller::NotAccepted(out.by_cookie ? "the session is over: sign in again"
                                                  : "this is no API key: make one at /v1/apiKeys");
    }
    auto answer = co_await Trade(out.secret, out.by_cookie, call);
    if (!answer.ok()) co_return caller::Refused(answer.status(), out.by_cookie);
    traded = *std::move(answer);
    out.token = traded.token;
    out.session_id = traded.session_id;
  }
  if (out.by_cookie && !caller::IsSafe(request.method) &&
      !caller::SameHash(caller::HexSha256(request.Header("X-CSRF-Token")), traded.csrf_hash)) {
    co_return caller::CsrfMissing();
  }
  CRM_CO_TRY(out.identity, co_await Identify(out, call));
  co_return out;
}

std::string Callers::LineOf(const HttpRequest& request) {
  const std::string_view header = request.Header("Authorization");
  absl::string_view credential(header.data(), header.size());
  if (absl::StartsWithIgnoreCase(credential, "Bearer ")) {
    credential.remove_prefix(7);
  } else {
    const std::string_view cookie = request.Cookie(kSessionCookie);
    credential = absl::string_view(cookie.data(), cookie.size());
  }
  if (!credential.empty()) {
    auto identity = authenticator_.Kept(credential, Now());
    if (!identity) {
      std::string token;
      {
        const Hash hash = rpc::Sha256(credential);
        std::lock_guard lock(mutex_);
        if (auto it = traded_.find(hash); it != traded_.end()) token = it->second.token;
      }
      if (!token.empty()) identity = authenticator_.Kept(token, Now());
    }
    if (identity) return identity->principal.tenant_id();
  }
  return LimitedAddress(request.peer);
}

Async<std::shared_ptr<const rpc::Identity>> Callers::Identify(Caller& caller, const Call& call) {
  auto identity = co_await authenticator_.Authenticate(caller.token, call.start);
  if (identity.ok() || caller.secret.empty() || identity.status().code() != absl::StatusCode::kUnauthenticated)
    co_return identity;
  // A kept token may have been overtaken, by a new signing key or by a revocation: identity has the last word.
  Forget(caller.secret);
  auto traded = co_await Trade(caller.secret, caller.by_cookie, call);
  if (!traded.ok()) co_return caller::Refused(traded.status(), caller.by_cookie);
  caller.token = traded->token;
  identity = co_await authenticator_.Authenticate(caller.token, call.start);
  if (!identity.ok()) Forget(caller.secret);
  co_return identity;
}

Async<Caller> Callers::Renew(const Caller& caller, const Call& call) {
  Caller out = caller;
  if (!out.secret.empty()) {
    auto traded = co_await Trade(out.secret, out.by_cookie, call);
    if (!traded.ok()) co_return caller::Refused(traded.status(), out.by_cookie);
    out.token = traded->token;
  }
  CRM_CO_TRY(out.identity, co_await Identify(out, call));
  co_return out;
}

void Callers::Forget(const std::string& secret) {
  std::lock_guard lock(mutex_);
  traded_.erase(rpc::Sha256(secret));
}

}  // namespace crm::gateway
