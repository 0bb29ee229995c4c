// Who sends a request: `Authorization: Bearer` with a token or an API key, or a browser's session cookie with its CSRF
// token. Keys and cookies are traded for tokens by identity; the tokens are kept until shortly before they end.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <array>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/rpc/access.h"
#include "services/gateway/http.h"
#include "services/gateway/peers.h"

namespace crm::gateway {

inline constexpr char kSessionCookie[] = "crm_session";

struct Caller {
  std::string token;                              // empty: anonymous
  std::shared_ptr<const rpc::Identity> identity;  // of the token
  std::string secret;                             // the key or cookie that was traded for it, if any
  bool by_cookie = false;
  std::string session_id;  // of the cookie
  bool anonymous() const { return token.empty(); }
};

// Thread-safe.
class Callers {
 public:
  // How long before its end a kept token is traded anew: longer than any request takes.
  static constexpr absl::Duration kRenewBefore = absl::Seconds(60);
  // Traded tokens kept; beyond it all are forgotten and traded again.
  static constexpr size_t kKeptMax = 50'000;

  Callers(const Peers& peers, rpc::Authenticator& authenticator) : peers_(peers), authenticator_(authenticator) {}

  // UNAUTHENTICATED if a credential is there but does not hold; an anonymous caller if there is none. Unsafe methods
  // with the cookie need X-CSRF-Token: else PERMISSION_DENIED with CSRF_TOKEN_INVALID.
  Async<Caller> Resolve(const HttpRequest& request, const Call& call);

  // Whose requests wait in one line with this one, without asking anybody and without proof: the tenant of a credential
  // that is known here, else the client's address.
  std::string LineOf(const HttpRequest& request);

  // The same caller with a token that still holds, for streams: trades anew if needed.
  Async<Caller> Renew(const Caller& caller, const Call& call);

  // After a service refused a traded token, or a sign-out.
  void Forget(const std::string& secret);

 private:
  struct Traded {
    std::string token;
    absl::Time expire_time;
    std::string csrf_hash;
    std::string session_id;
  };
  using Hash = std::array<uint8_t, 32>;

  // Who the caller's token is; trades a kept token anew, once, if it does not hold any more.
  Async<std::shared_ptr<const rpc::Identity>> Identify(Caller& caller, const Call& call);
  Async<Traded> Trade(const std::string& secret, bool cookie, const Call& call);

  const Peers& peers_;
  rpc::Authenticator& authenticator_;
  std::mutex mutex_;
  absl::flat_hash_map<Hash, Traded> traded_;
};

}  // namespace crm::gateway
