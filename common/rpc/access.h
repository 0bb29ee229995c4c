// What roles grant and who has been shut out, kept in process; and from a token to a Principal.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/rpc/token.h"
#include "crm/identity/v1/access.pb.h"
#include "crm/identity/v1/api_key.pb.h"

namespace crm::rpc {

class Client;

// Where rights come from: identity, over gRPC or in the same process.
class GrantSource {
 public:
  virtual ~GrantSource() = default;
  virtual Async<identity::v1::ListAccessChangesResponse> ListAccessChanges(
      identity::v1::ListAccessChangesRequest request) = 0;
  virtual Async<identity::v1::GetRoleGrantsResponse> GetRoleGrants(identity::v1::GetRoleGrantsRequest request) = 0;
  // An access token with the rights of an API key. A source without keys knows none.
  virtual Async<identity::v1::ExchangeApiKeyResponse> ExchangeApiKey(identity::v1::ExchangeApiKeyRequest request);
};

// Asks identity as the service `service`. The client outlives it.
std::unique_ptr<GrantSource> RemoteGrantSource(Client& identity, std::string service);

// Roles and revocations. It fails closed: nothing is known before the first answer of the source, an unknown role is
// asked for, and after kStaleMax without an answer nothing is granted any more. Thread-safe.
class AccessDirectory {
 public:
  // How often Run asks: with the source's own delay below it, a change bites within 5 s.
  static constexpr auto kPollEvery = std::chrono::seconds(2);
  // How long the last known state may serve while identity does not answer.
  static constexpr auto kStaleMax = std::chrono::minutes(15);
  // Roles kept; beyond it all are forgotten and asked for again.
  static constexpr size_t kRolesMax = 100'000;

  explicit AccessDirectory(GrantSource& source) : source_(source) {}

  // Polls for ever on the caller's loop; ended by cancelling the coroutine.
  Async<> Run();
  // One poll.
  Async<> Poll();

  // What the roles grant together. UNAVAILABLE if it cannot be known now.
  Async<std::shared_ptr<const Rights>> RightsOf(Uuid tenant, std::vector<std::string> role_ids);

  // A revocation may have been committed this much later than it is dated (no write lasts longer): tokens issued up to
  // then may still speak of the state before it. Identity dates newer tokens past it.
  static constexpr auto kRevocationMargin = absl::Seconds(10);

  // UNAVAILABLE if it cannot be known; UNAUTHENTICATED if the user, key or session was revoked after the token was
  // made.
  absl::Status CheckRevoked(const std::string& user_id, const std::string& session_id, absl::Time issue_time) const;

  // Raised by every change; what was derived from an earlier version must be derived again.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  // True once the source has answered, and not longer ago than kStaleMax.
  bool fresh() const;
  GrantSource& source() { return source_; }

 private:
  struct Role {
    std::vector<identity::v1::Grant> grants;
    bool personal_data = false;
  };
  static std::string Key(absl::string_view tenant_id, absl::string_view role_id);
  void Put(const identity::v1::RoleGrants& role);  // mutex_ held

  GrantSource& source_;
  std::atomic<uint64_t> version_{1};
  std::atomic<int64_t> answered_{0};  // steady clock's nanoseconds; 0: never
  mutable std::mutex mutex_;
  std::string cursor_;
  absl::flat_hash_map<std::string, std::shared_ptr<const Role>> roles_;
  absl::flat_hash_map<std::string, absl::Time> revoked_;  // id -> when
};

// A verified caller, with what the token says about language and zone.
struct Identity {
  Principal principal;
  std::string language;
  std::string time_zone;
  std::string country;
  std::string currency;
  absl::Time issue_time;
  absl::Time expire_time;
};

// From a bearer token to who it is: verified once, kept by the token's SHA-256 until it expires, checked against the
// directory whenever that has changed. Thread-safe.
class Authenticator {
 public:
  // Identities kept per generation (there are two): a process serves this many callers without verifying again.
  static constexpr size_t kKeptMax = 20'000;

  Authenticator(TokenVerifier& verifier, AccessDirectory& directory, size_t kept_max = kKeptMax)
      : verifier_(verifier), directory_(directory), kept_max_(kept_max) {}

  // UNAUTHENTICATED with TOKEN_INVALID, or UNAVAILABLE if rights cannot be known now. `token` is copied before waiting.
  Async<std::shared_ptr<const Identity>> Authenticate(absl::string_view token, absl::Time now);

  // The answer if it is kept and still holds, else nullptr: spares the usual request a coroutine.
  std::shared_ptr<const Identity> Kept(absl::string_view token, absl::Time now);

  // Who calls, and the access token to pass on for them.
  struct Caller {
    std::string token;
    std::shared_ptr<const Identity> identity;
  };
  // `bearer` is an access token, or the secret of an API key ("crm_..."), which identity trades for one: kept until
  // shortly before that ends, or until it no longer holds. Errors as of Authenticate.
  Async<Caller> Resolve(std::string bearer, absl::Time now);

  TokenVerifier& verifier() { return verifier_; }
  AccessDirectory& directory() { return directory_; }

 private:
  using Hash = std::array<uint8_t, 32>;
  struct Entry {
    std::shared_ptr<const Identity> identity;
    uint64_t keys = 0;    // the verifier's generation
    uint64_t access = 0;  // the directory's version
  };
  struct Traded {
    std::string token;
    absl::Time expire_time;
  };
  Async<std::string> Trade(const std::string& secret, absl::Time now);

  TokenVerifier& verifier_;
  AccessDirectory& directory_;
  const size_t kept_max_;
  std::mutex mutex_;
  absl::flat_hash_map<Hash, Entry> young_, old_;  // when young is full, it becomes old
  absl::flat_hash_map<Hash, Traded> traded_;      // by the hash of the key's secret
};

// OK if `principal` may call an rpc with this access option; else UNAUTHENTICATED or PERMISSION_DENIED with the right's
// name.
absl::Status CheckAccess(const type::v1::Access& access, const Principal& principal);

// "contact.create": a right as errors and documents name it.
std::string RightName(const type::v1::Right& right);

}  // namespace crm::rpc
