#include "common/rpc/access.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/obs/log.h"
#include "common/obs/trace.h"
#include "common/rpc/client.h"

namespace crm::rpc {
namespace access_internal {

class Remote final : public GrantSource {
 public:
  Remote(Client& identity, std::string service) : identity_(identity), service_(std::move(service)) {}

  Async<identity::v1::ListAccessChangesResponse> ListAccessChanges(
      identity::v1::ListAccessChangesRequest request) override {
    const Call call = OwnCall();
    co_return co_await identity_.Unary<identity::v1::ListAccessChangesResponse>(
        call, "crm.identity.v1.AccessService.ListAccessChanges", request);
  }
  Async<identity::v1::GetRoleGrantsResponse> GetRoleGrants(identity::v1::GetRoleGrantsRequest request) override {
    const Call call = OwnCall();
    co_return co_await identity_.Unary<identity::v1::GetRoleGrantsResponse>(
        call, "crm.identity.v1.AccessService.GetRoleGrants", request);
  }
  Async<identity::v1::ExchangeApiKeyResponse> ExchangeApiKey(identity::v1::ExchangeApiKeyRequest request) override {
    const Call call = OwnCall();
    co_return co_await identity_.Unary<identity::v1::ExchangeApiKeyResponse>(
        call, "crm.identity.v1.ApiKeyService.ExchangeApiKey", request);
  }

 private:
  Call OwnCall() const {
    Call call;
    call.principal.kind = Principal::Kind::kService;
    call.principal.user_id = absl::StrCat("service_", service_);
    call.traceparent = obs::NewTraceparent();
    call.start = Now();
    call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    return call;
  }
  Client& identity_;
  const std::string service_;
};

int64_t SteadyNanos() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

absl::Status NotKnown() {
  auto status = Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
                      "Your rights cannot be looked up at the moment. Send the request again.");
  SetRetryDelay(status, std::chrono::seconds(1));
  return status;
}

// How API keys' secrets begin, and what length identity's rules allow them.
constexpr absl::string_view kKeyPrefix = "crm_";
constexpr size_t kSecretBytesMin = 20, kSecretBytesMax = 200;
// A traded token is renewed this long before it ends, so that it lasts for the calls that are made with it.
constexpr absl::Duration kRenewBefore = absl::Minutes(1);

absl::Status KeyRefused() {
  return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID,
               "The API key is not known, has expired or was revoked.");
}

// The log says so once per outage, not once per poll.
void LogPoll(bool ok, bool was_ok, const absl::Status& status) {
  if (ok == was_ok) return;
  if (ok) {
    obs::Log(obs::Level::kInfo, "rights are up to date");
  } else {
    obs::Log(obs::Level::kWarning, "identity does not answer; the rights last known are used",
             {{"why", status.message()}});
  }
}

}  // namespace access_internal

Async<identity::v1::ExchangeApiKeyResponse> GrantSource::ExchangeApiKey(identity::v1::ExchangeApiKeyRequest) {
  co_return access_internal::KeyRefused();
}

std::unique_ptr<GrantSource> RemoteGrantSource(Client& identity, std::string service) {
  return std::make_unique<access_internal::Remote>(identity, std::move(service));
}

std::string AccessDirectory::Key(absl::string_view tenant_id, absl::string_view role_id) {
  return absl::StrCat(tenant_id, " ", role_id);
}

bool AccessDirectory::fresh() const {
  const int64_t answered = answered_.load(std::memory_order_acquire);
  return answered != 0 && access_internal::SteadyNanos() - answered < std::chrono::nanoseconds(kStaleMax).count();
}

void AccessDirectory::Put(const identity::v1::RoleGrants& role) {
  auto kept = std::make_shared<Role>();
  kept->grants.assign(role.grants().begin(), role.grants().end());
  kept->personal_data = role.personal_data();
  roles_[Key(role.tenant_id(), role.role_id())] = std::move(kept);
}

Async<> AccessDirectory::Poll() {
  identity::v1::ListAccessChangesRequest request;
  {
    std::lock_guard lock(mutex_);
    request.set_cursor(cursor_);
  }
  // Stamped before asking: what happens while the answer travels counts as unheard.
  const int64_t asked = access_internal::SteadyNanos();
  const bool first = answered_.load(std::memory_order_acquire) == 0;
  CRM_CO_TRY(const auto changes, co_await source_.ListAccessChanges(request));
  const absl::Time now = Now();
  {
    std::lock_guard lock(mutex_);
    // Every role is taken, known or not: one that is being fetched at this moment must not be overwritten by an older
    // answer without anybody noticing; RightsOf compares versions for that.
    for (const auto& role : changes.roles()) Put(role);
    for (const auto& revocation : changes.revocations()) {
      absl::Time& time = revoked_.try_emplace(revocation.subject_id(), absl::InfinitePast()).first->second;
      time = std::max(time, FromTimestamp(revocation.time()));
    }
    absl::erase_if(revoked_, [&](const auto& entry) { return entry.second + kTokenLifeMax + 2 * kClockLeeway < now; });
    if (roles_.size() > kRolesMax) roles_.clear();
    cursor_ = changes.cursor();
    // Within the lock, so that an older answer of GetRoleGrants cannot slip in between.
    if (first || !changes.roles().empty() || !changes.revocations().empty()) {
      version_.fetch_add(1, std::memory_order_acq_rel);
    }
  }
  answered_.store(asked, std::memory_order_release);
  co_return absl::OkStatus();
}

Async<> AccessDirectory::Run() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  bool was_ok = false, ever = false;
  for (;;) {
    const absl::Status status = co_await Poll();
    if (status.ok() || ever) access_internal::LogPoll(status.ok(), was_ok, status);
    was_ok = status.ok();
    ever = ever || status.ok();
    // Until the first answer nothing can be served: ask more often then.
    timer.expires_after(ever ? std::chrono::milliseconds(kPollEvery) : std::chrono::milliseconds(250));
    boost::system::error_code ended;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (ended) co_return absl::CancelledError("ended");
  }
}

Async<std::shared_ptr<const Rights>> AccessDirectory::RightsOf(Uuid tenant, std::vector<std::string> role_ids) {
  if (!fresh()) co_return access_internal::NotKnown();
  const std::string tenant_id = TypeId("tenant", tenant);
  // A role that changes while it is fetched is fetched again; more than a few times in a row means something is wrong.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const uint64_t version = this->version();
    identity::v1::GetRoleGrantsRequest request;
    auto rights = std::make_shared<Rights>();
    {
      std::lock_guard lock(mutex_);
      for (const auto& role_id : role_ids) {
        auto it = roles_.find(Key(tenant_id, role_id));
        if (it == roles_.end()) {
          request.add_role_ids(role_id);
          continue;
        }
        for (const auto& grant : it->second->grants) rights->Grant(grant.object(), grant.action(), grant.scope());
        rights->personal_data = rights->personal_data || it->second->personal_data;
      }
    }
    if (request.role_ids().empty()) co_return std::shared_ptr<const Rights>(std::move(rights));
    request.set_tenant_id(tenant_id);
    const auto answer = co_await source_.GetRoleGrants(request);
    if (!answer.ok()) {
      obs::Log(obs::Level::kWarning, "roles could not be fetched", {{"why", answer.status().message()}});
      co_return access_internal::NotKnown();
    }
    std::lock_guard lock(mutex_);
    if (this->version() != version) continue;  // the poll may have brought something newer than this answer
    for (const auto& role_id : request.role_ids()) {
      // A role that does not exist grants nothing, and need not be asked for again.
      roles_[Key(tenant_id, role_id)] = std::make_shared<const Role>();
    }
    for (const auto& role : answer->roles()) {
      if (role.tenant_id() == tenant_id) Put(role);
    }
  }
  co_return access_internal::NotKnown();
}

absl::Status AccessDirectory::CheckRevoked(const std::string& user_id, const std::string& session_id,
                                           absl::Time issue_time) const {
  if (!fresh()) return access_internal::NotKnown();
  std::lock_guard lock(mutex_);
  for (const auto* id : {&user_id, &session_id}) {
    if (id->empty()) continue;
    auto it = revoked_.find(*id);
    // A token dated past the revocation is a new permission.
    if (it != revoked_.end() && issue_time <= it->second + kRevocationMargin) {
      return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID,
                   "The session was ended. Sign in again.", {{"why", "revoked"}});
    }
  }
  return absl::OkStatus();
}

std::shared_ptr<const Identity> Authenticator::Kept(absl::string_view token, absl::Time now) {
  const Hash hash = Sha256(token);
  const uint64_t keys = verifier_.generation();
  const uint64_t access = directory_.version();
  if (!directory_.fresh()) return nullptr;
  std::lock_guard lock(mutex_);
  auto it = young_.find(hash);
  if (it == young_.end()) {
    auto aged = old_.find(hash);
    if (aged == old_.end()) return nullptr;
    it = young_.emplace(hash, std::move(aged->second)).first;
    old_.erase(aged);
  }
  const Entry& entry = it->second;
  if (entry.identity->expire_time <= now) {
    young_.erase(it);
    return nullptr;
  }
  if (entry.keys != keys || entry.access != access) return nullptr;
  return entry.identity;
}

Async<std::shared_ptr<const Identity>> Authenticator::Authenticate(absl::string_view token_view, absl::Time now) {
  if (auto kept = Kept(token_view, now)) co_return kept;
  const std::string token(token_view);
  Entry entry;
  entry.keys = verifier_.generation();
  entry.access = directory_.version();
  const Hash hash = Sha256(token);
  auto identity = std::make_shared<Identity>();
  {
    // Verified under these keys already: only the rights are derived again.
    std::lock_guard lock(mutex_);
    auto it = young_.find(hash);
    if (it != young_.end() && it->second.keys == entry.keys && it->second.identity->expire_time > now) {
      *identity = *it->second.identity;
    }
  }
  Principal& who = identity->principal;
  if (who.user_id.empty()) {
    CRM_CO_TRY(Claims claims, verifier_.Verify(token, now));
    auto uuid_of = [](const std::string& id) {
      return id.empty() ? Uuid() : ParseId(id)->uuid;
    };  // Verify has read them
    who.kind = claims.kind == "user" ? Principal::Kind::kUser : Principal::Kind::kApiKey;
    who.tenant = uuid_of(claims.tenant);
    who.user_id = std::move(claims.subject);
    who.session_id = std::move(claims.session);
    who.team = uuid_of(claims.team);
    who.team_id = std::move(claims.team);
    for (const auto& team : claims.teams) who.teams.push_back(uuid_of(team));
    who.role_ids = std::move(claims.roles);
    identity->language = std::move(claims.language);
    identity->time_zone = std::move(claims.time_zone);
    identity->country = std::move(claims.country);
    identity->currency = std::move(claims.currency);
    identity->issue_time = claims.issue_time;
    identity->expire_time = claims.expire_time;
  }
  CRM_CO_TRY(directory_.CheckRevoked(who.user_id, who.session_id, identity->issue_time));
  CRM_CO_TRY(who.rights, co_await directory_.RightsOf(who.tenant, who.role_ids));
  // Heard while the rights were fetched: the directory's version has moved on then, and the entry does not hold.
  CRM_CO_TRY(directory_.CheckRevoked(who.user_id, who.session_id, identity->issue_time));
  entry.identity = identity;
  std::lock_guard lock(mutex_);
  if (young_.size() >= kept_max_) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_[hash] = entry;
  co_return entry.identity;
}

Async<std::string> Authenticator::Trade(const std::string& secret, absl::Time now) {
  const Hash hash = Sha256(secret);
  {
    std::lock_guard lock(mutex_);
    auto it = traded_.find(hash);
    if (it != traded_.end() && it->second.expire_time - access_internal::kRenewBefore > now) co_return it->second.token;
  }
  identity::v1::ExchangeApiKeyRequest request;
  request.set_secret(secret);
  auto answer = co_await directory_.source().ExchangeApiKey(std::move(request));
  if (!answer.ok()) {
    const bool refused = absl::IsUnauthenticated(answer.status()) || absl::IsNotFound(answer.status()) ||
                         absl::IsInvalidArgument(answer.status());
    if (refused) co_return access_internal::KeyRefused();
    obs::Log(obs::Level::kWarning, "an API key could not be traded for a token", {{"why", answer.status().message()}});
    co_return access_internal::NotKnown();
  }
  std::lock_guard lock(mutex_);
  if (traded_.size() >= kept_max_) traded_.clear();
  traded_[hash] = {answer->access_token(), FromTimestamp(answer->expire_time())};
  co_return answer->access_token();
}

Async<Authenticator::Caller> Authenticator::Resolve(std::string bearer, absl::Time now) {
  Caller caller;
  if (!absl::StartsWith(bearer, access_internal::kKeyPrefix)) {
    CRM_CO_TRY(caller.identity, co_await Authenticate(bearer, now));
    caller.token = std::move(bearer);
    co_return caller;
  }
  if (bearer.size() < access_internal::kSecretBytesMin || bearer.size() > access_internal::kSecretBytesMax) {
    co_return access_internal::KeyRefused();
  }
  CRM_CO_TRY(caller.token, co_await Trade(bearer, now));
  auto identity = co_await Authenticate(caller.token, now);
  if (absl::IsUnauthenticated(identity.status())) {
    // The token was overtaken, by a new signing key or a change of the key's roles: identity has the last word.
    {
      std::lock_guard lock(mutex_);
      traded_.erase(Sha256(bearer));
    }
    CRM_CO_TRY(caller.token, co_await Trade(bearer, now));
    identity = co_await Authenticate(caller.token, now);
  }
  CRM_CO_TRY(caller.identity, std::move(identity));
  co_return caller;
}

std::string RightName(const type::v1::Right& right) {
  const std::string& action = type::v1::Action_Name(right.action());
  return absl::StrCat(right.object(), ".", absl::AsciiStrToLower(absl::StripPrefix(action, "ACTION_")));
}

absl::Status CheckAccess(const type::v1::Access& access, const Principal& principal) {
  using Kind = Principal::Kind;
  auto denied = [](std::string text, Metadata metadata = {}) {
    return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING, std::move(text),
                 std::move(metadata));
  };
  auto anonymous = [] {
    return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID,
                 "This call needs a token. Sign in and send it as `Authorization: Bearer`.");
  };
  const bool person = principal.kind == Kind::kUser || principal.kind == Kind::kApiKey;
  switch (access.who_case()) {
    case type::v1::Access::kPublic:
      if (access.public_()) return absl::OkStatus();
      break;
    case type::v1::Access::kSignedIn:
      if (!access.signed_in()) break;
      if (person) return absl::OkStatus();
      if (principal.kind == Kind::kAnonymous) return anonymous();
      return denied("This call is for signed-in users, not for services.");
    case type::v1::Access::kService:
      if (!access.service()) break;
      if (principal.kind == Kind::kService) return absl::OkStatus();
      if (principal.kind == Kind::kAnonymous) return anonymous();
      return denied("This call is for our own services only.");
    case type::v1::Access::kRight: {
      if (principal.kind == Kind::kAnonymous) return anonymous();
      const std::string name = RightName(access.right());
      if (!person) {
        const absl::string_view service = absl::StripPrefix(principal.user_id, "service_");
        const bool named =
            std::find(access.services().begin(), access.services().end(), service) != access.services().end();
        if (named && !principal.tenant.IsNil()) return absl::OkStatus();
        return denied("This call is for users with a right, not for this service.", {{"right", name}});
      }
      if (principal.rights->ScopeOf(access.right().object(), access.right().action()) != type::v1::SCOPE_UNSPECIFIED) {
        return absl::OkStatus();
      }
      return denied(absl::StrCat("Your roles do not grant ", name, ". Ask an administrator for a role that does."),
                    {{"right", name}});
    }
    case type::v1::Access::WHO_NOT_SET:
      break;
  }
  return denied("Nobody may make this call.");
}

}  // namespace crm::rpc
