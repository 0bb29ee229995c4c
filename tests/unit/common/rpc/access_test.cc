#include "common/rpc/access.h"

#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/base/time.h"
#include "tests/testing/run.h"
#include "tests/unit/common/rpc/keys.h"

namespace crm::rpc {
namespace {

using testing::Ed25519;
using testing::Folder;
using testing::Jwks;
using testing::Loop;
using testing::WriteFile;

// Identity as the test wants it.
class FakeGrants final : public GrantSource {
 public:
  Async<identity::v1::ListAccessChangesResponse> ListAccessChanges(
      identity::v1::ListAccessChangesRequest request) override {
    cursors.push_back(request.cursor());
    if (!up) co_return absl::UnavailableError("identity is down");
    auto answer = changes;
    answer.set_cursor(std::to_string(cursors.size()));
    co_return answer;
  }
  Async<identity::v1::GetRoleGrantsResponse> GetRoleGrants(identity::v1::GetRoleGrantsRequest request) override {
    ++fetches;
    if (!up) co_return absl::UnavailableError("identity is down");
    identity::v1::GetRoleGrantsResponse response;
    for (const auto& role : roles) {
      for (const auto& id : request.role_ids()) {
        if (role.role_id() == id && role.tenant_id() == request.tenant_id()) *response.add_roles() = role;
      }
    }
    if (before_answer) {
      auto once = std::move(before_answer);
      before_answer = nullptr;
      co_await once();
    }
    co_return response;
  }
  Async<identity::v1::ExchangeApiKeyResponse> ExchangeApiKey(identity::v1::ExchangeApiKeyRequest request) override {
    ++trades;
    if (!up) co_return absl::UnavailableError("identity is down");
    if (request.secret() != secret) co_return absl::UnauthenticatedError("there is no such API key");
    identity::v1::ExchangeApiKeyResponse response;
    response.set_access_token(traded);
    *response.mutable_expire_time() = ToTimestamp(traded_until);
    co_return response;
  }

  bool up = true;
  int trades = 0;
  std::string secret = "crm_0123456789abcdef0123456789", traded;
  absl::Time traded_until;
  int fetches = 0;
  std::vector<std::string> cursors;
  identity::v1::ListAccessChangesResponse changes;
  std::vector<identity::v1::RoleGrants> roles;
  std::function<asio::awaitable<void>()> before_answer;
};

identity::v1::RoleGrants RoleOf(const std::string& tenant, const std::string& role, const std::string& object,
                                type::v1::Action action, type::v1::Scope scope) {
  identity::v1::RoleGrants out;
  out.set_tenant_id(tenant);
  out.set_role_id(role);
  auto* grant = out.add_grants();
  grant->set_object(object);
  grant->set_action(action);
  grant->set_scope(scope);
  return out;
}

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteFile(jwks_, Jwks({key_.Jwk("one")}));
    WriteFile(pem_, key_.Pem());
    verifier_ = *TokenVerifier::Make("crm", jwks_);
    signer_ = *TokenSigner::Make(pem_, jwks_);
    authenticator_ = std::make_unique<Authenticator>(*verifier_, directory_);
    claims_ = testing::SomeClaims(now_);
    grants_.roles = {RoleOf(claims_.tenant, claims_.roles[0], "contact", type::v1::ACTION_READ, type::v1::SCOPE_TEAM)};
  }
  void Revoke(const std::string& subject, absl::Time time) {
    auto* revocation = grants_.changes.add_revocations();
    revocation->set_subject_id(subject);
    *revocation->mutable_time() = ToTimestamp(time);
  }
  void Poll() { EXPECT_TRUE(loop_.Run(directory_.Poll()).ok()); }
  absl::StatusOr<std::shared_ptr<const Identity>> Authenticate(const std::string& token) {
    return loop_.Run(authenticator_->Authenticate(token, now_));
  }
  std::string Token() { return signer_->Sign(claims_); }

  Loop loop_;
  const absl::Time now_ = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));
  const Ed25519 key_;
  const Folder folder_;
  const std::string jwks_ = folder_ / "jwks.json", pem_ = folder_ / "signing.pem";
  FakeGrants grants_;
  AccessDirectory directory_{grants_};
  std::unique_ptr<TokenVerifier> verifier_;
  std::unique_ptr<TokenSigner> signer_;
  std::unique_ptr<Authenticator> authenticator_;
  Claims claims_;
};

TEST_F(AccessTest, NothingIsGrantedBeforeIdentityHasAnswered) {
  EXPECT_FALSE(directory_.fresh());
  auto identity = Authenticate(Token());
  EXPECT_EQ(identity.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(RetryDelayOf(identity.status()).has_value());
  Poll();
  EXPECT_TRUE(directory_.fresh());
  EXPECT_TRUE(Authenticate(Token()).ok());
}

TEST_F(AccessTest, ATokenBecomesAPrincipal) {
  Poll();
  auto identity = Authenticate(Token());
  ASSERT_TRUE(identity.ok()) << identity.status();
  const Principal& who = (*identity)->principal;
  EXPECT_EQ(who.kind, Principal::Kind::kUser);
  EXPECT_EQ(who.user_id, claims_.subject);
  EXPECT_EQ(who.tenant_id(), claims_.tenant);
  EXPECT_EQ(who.team_id, claims_.team);
  EXPECT_EQ(TypeId("team", who.team), claims_.team);
  EXPECT_EQ(who.teams.size(), 2u);
  EXPECT_EQ(who.rights->ScopeOf("contact", type::v1::ACTION_READ), type::v1::SCOPE_TEAM);
  EXPECT_EQ(who.rights->ScopeOf("contact", type::v1::ACTION_UPDATE), type::v1::SCOPE_UNSPECIFIED);
  EXPECT_EQ(who.rights->ScopeOf("deal", type::v1::ACTION_READ), type::v1::SCOPE_UNSPECIFIED);
  EXPECT_FALSE(who.rights->personal_data);
  EXPECT_EQ((*identity)->language, "ru");
  EXPECT_EQ((*identity)->time_zone, "Europe/Berlin");
}

TEST_F(AccessTest, ATokenIsVerifiedAndItsRolesFetchedOnce) {
  Poll();
  const std::string token = Token();
  EXPECT_EQ(authenticator_->Kept(token, now_), nullptr);
  auto first = Authenticate(token);
  auto second = Authenticate(token);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
  EXPECT_EQ(authenticator_->Kept(token, now_), *first);
  EXPECT_EQ(grants_.fetches, 1);
  // Another token of the same role: verified, but the role is known.
  claims_.session = NewId("session", now_);
  EXPECT_TRUE(Authenticate(Token()).ok());
  EXPECT_EQ(grants_.fetches, 1);
  // Kept only as long as it lives.
  EXPECT_EQ(authenticator_->Kept(token, claims_.expire_time), nullptr);
  EXPECT_FALSE(loop_.Run(authenticator_->Authenticate(token, claims_.expire_time)).ok());
}

TEST_F(AccessTest, ARoleOfAnotherTenantGrantsNothing) {
  grants_.roles = {
      RoleOf(NewId("tenant", now_), claims_.roles[0], "*", type::v1::ACTION_ADMINISTER, type::v1::SCOPE_ALL)};
  grants_.changes.add_roles()->CopyFrom(grants_.roles[0]);
  Poll();
  auto identity = Authenticate(Token());
  ASSERT_TRUE(identity.ok());
  EXPECT_TRUE((*identity)->principal.rights->scopes().empty());
}

TEST_F(AccessTest, AChangedRoleBitesAtTheNextPoll) {
  Poll();
  const std::string token = Token();
  ASSERT_TRUE(Authenticate(token).ok());
  *grants_.changes.add_roles() =
      RoleOf(claims_.tenant, claims_.roles[0], "deal", type::v1::ACTION_DELETE, type::v1::SCOPE_OWN);
  Poll();
  EXPECT_EQ(authenticator_->Kept(token, now_), nullptr);
  auto identity = Authenticate(token);
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ((*identity)->principal.rights->ScopeOf("contact", type::v1::ACTION_READ), type::v1::SCOPE_UNSPECIFIED);
  EXPECT_EQ((*identity)->principal.rights->ScopeOf("deal", type::v1::ACTION_DELETE), type::v1::SCOPE_OWN);
  EXPECT_EQ(grants_.fetches, 1);
  // A poll that brings nothing leaves what is kept.
  grants_.changes.Clear();
  Poll();
  EXPECT_NE(authenticator_->Kept(token, now_), nullptr);
  // Each poll goes on where the last one ended.
  EXPECT_EQ(grants_.cursors, (std::vector<std::string>{"", "1", "2"}));
}

TEST_F(AccessTest, RevokedSessionsUsersAndKeysAreRefused) {
  Poll();
  const std::string token = Token();
  ASSERT_TRUE(Authenticate(token).ok());
  Revoke(claims_.session, now_);
  Poll();
  EXPECT_EQ(authenticator_->Kept(token, now_), nullptr);
  auto refused = Authenticate(token);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(ReasonOf(refused.status()), type::v1::ERROR_REASON_TOKEN_INVALID);
  // The user's other sessions go on ...
  claims_.session = NewId("session", now_);
  EXPECT_TRUE(Authenticate(Token()).ok());
  // ... until the user is shut out.
  grants_.changes.Clear();
  Revoke(claims_.subject, now_);
  Poll();
  EXPECT_EQ(Authenticate(Token()).status().code(), absl::StatusCode::kUnauthenticated);
  // A token dated past the revocation is a new permission; an older revocation heard late does not take the newer one back.
  Revoke(claims_.subject, now_ - absl::Minutes(30));
  Poll();
  EXPECT_FALSE(Authenticate(Token()).ok());
  claims_.issue_time = now_ + AccessDirectory::kRevocationMargin + absl::Seconds(1);
  claims_.expire_time = claims_.issue_time + absl::Minutes(5);
  EXPECT_TRUE(loop_.Run(authenticator_->Authenticate(Token(), claims_.issue_time)).ok());
}

TEST_F(AccessTest, WhatIsKnownServesWhileIdentityIsDown) {
  Poll();
  const std::string token = Token();
  ASSERT_TRUE(Authenticate(token).ok());
  grants_.up = false;
  EXPECT_FALSE(loop_.Run(directory_.Poll()).ok());
  EXPECT_TRUE(Authenticate(token).ok());
  // An unknown role cannot be judged: neither granted nor denied.
  claims_.roles = {NewId("role", now_)};
  EXPECT_EQ(Authenticate(Token()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(AccessTest, ADeletedRoleGrantsNothingAndIsNotAskedForAgain) {
  grants_.roles.clear();
  Poll();
  ASSERT_TRUE(Authenticate(Token()).ok());
  claims_.session = NewId("session", now_);
  auto identity = Authenticate(Token());
  ASSERT_TRUE(identity.ok());
  EXPECT_TRUE((*identity)->principal.rights->scopes().empty());
  EXPECT_EQ(grants_.fetches, 1);
}

// An answer of GetRoleGrants that was overtaken by a change must not undo it.
TEST_F(AccessTest, AnOvertakenAnswerIsFetchedAgain) {
  Poll();
  grants_.before_answer = [this]() -> asio::awaitable<void> {
    grants_.changes.Clear();
    *grants_.changes.add_roles() =
        RoleOf(claims_.tenant, claims_.roles[0], "contact", type::v1::ACTION_READ, type::v1::SCOPE_OWN);
    (co_await directory_.Poll()).IgnoreError();
    grants_.changes.Clear();
  };
  auto identity = Authenticate(Token());
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ((*identity)->principal.rights->ScopeOf("contact", type::v1::ACTION_READ), type::v1::SCOPE_OWN);
}

TEST_F(AccessTest, RolesAddUp) {
  claims_.roles.push_back(NewId("role", now_));
  grants_.roles.push_back(RoleOf(claims_.tenant, claims_.roles[1], "*", type::v1::ACTION_READ, type::v1::SCOPE_OWN));
  grants_.roles.back().set_personal_data(true);
  Poll();
  auto identity = Authenticate(Token());
  ASSERT_TRUE(identity.ok());
  const Rights& rights = *(*identity)->principal.rights;
  EXPECT_EQ(rights.ScopeOf("contact", type::v1::ACTION_READ), type::v1::SCOPE_TEAM);
  EXPECT_EQ(rights.ScopeOf("deal", type::v1::ACTION_READ), type::v1::SCOPE_OWN);
  EXPECT_TRUE(rights.personal_data);
}

TEST_F(AccessTest, NewKeysMakeKeptIdentitiesVerifyAgain) {
  Poll();
  const std::string token = Token();
  ASSERT_TRUE(Authenticate(token).ok());
  const Ed25519 other;
  WriteFile(jwks_, Jwks({other.Jwk("two")}));
  verifier_->Refresh();
  EXPECT_EQ(Authenticate(token).status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(AccessTest, AtMostTwoGenerationsAreKept) {
  Authenticator small(*verifier_, directory_, 2);
  Poll();
  std::vector<std::string> tokens;
  for (int i = 0; i < 5; ++i) {
    claims_.session = NewId("session", now_);
    tokens.push_back(Token());
    ASSERT_TRUE(loop_.Run(small.Authenticate(tokens.back(), now_)).ok());
    // The one in use stays, however many others come.
    EXPECT_NE(small.Kept(tokens[0], now_), nullptr) << i;
  }
  EXPECT_EQ(small.Kept(tokens[1], now_), nullptr);
  EXPECT_NE(small.Kept(tokens[4], now_), nullptr);
}

// ---- CheckAccess: every kind of caller against every kind of access ----

TEST(CheckAccessTest, EveryCallerAgainstEveryOption) {
  using Kind = Principal::Kind;
  constexpr auto kOk = absl::StatusCode::kOk;
  constexpr auto kWho = absl::StatusCode::kUnauthenticated;
  constexpr auto kNo = absl::StatusCode::kPermissionDenied;

  type::v1::Access open, signed_in, service, right, none, off;
  open.set_public_(true);
  signed_in.set_signed_in(true);
  service.set_service(true);
  right.mutable_right()->set_object("contact");
  right.mutable_right()->set_action(type::v1::ACTION_CREATE);
  off.set_public_(false);

  Principal anonymous, user, holder, key, other;
  user.kind = holder.kind = Kind::kUser;
  key.kind = Kind::kApiKey;
  other.kind = Kind::kService;
  auto rights = std::make_shared<Rights>();
  rights->Grant("contact", type::v1::ACTION_CREATE, type::v1::SCOPE_OWN);
  holder.rights = rights;
  auto lesser = std::make_shared<Rights>();
  lesser->Grant("contact", type::v1::ACTION_READ, type::v1::SCOPE_ALL);
  lesser->Grant("deal", type::v1::ACTION_CREATE, type::v1::SCOPE_ALL);
  user.rights = lesser;
  // Even rights handed to a service by mistake do not make it a user.
  other.rights = rights;

  struct Case {
    const char* name;
    const type::v1::Access& access;
    absl::StatusCode anonymous, user, holder, key, other;
  };
  for (const Case& c :
       {Case{"public", open, kOk, kOk, kOk, kOk, kOk}, Case{"signed_in", signed_in, kWho, kOk, kOk, kOk, kNo},
        Case{"service", service, kWho, kNo, kNo, kNo, kOk}, Case{"right", right, kWho, kNo, kOk, kNo, kNo},
        Case{"none", none, kNo, kNo, kNo, kNo, kNo}, Case{"off", off, kNo, kNo, kNo, kNo, kNo}}) {
    EXPECT_EQ(CheckAccess(c.access, anonymous).code(), c.anonymous) << c.name;
    EXPECT_EQ(CheckAccess(c.access, user).code(), c.user) << c.name;
    EXPECT_EQ(CheckAccess(c.access, holder).code(), c.holder) << c.name;
    EXPECT_EQ(CheckAccess(c.access, key).code(), c.key) << c.name;
    EXPECT_EQ(CheckAccess(c.access, other).code(), c.other) << c.name;
  }
  const absl::Status missing = CheckAccess(right, user);
  EXPECT_EQ(ReasonOf(missing), type::v1::ERROR_REASON_RIGHT_MISSING);
  EXPECT_EQ(MetadataOf(missing)["right"], "contact.create");
}

TEST(CheckAccessTest, AServiceThatIsNamedActsForOneTenant) {
  type::v1::Access access;
  access.mutable_right()->set_object("deal");
  access.mutable_right()->set_action(type::v1::ACTION_UPDATE);
  access.add_services("scheduler");
  Principal named, other;
  named.kind = other.kind = Principal::Kind::kService;
  named.user_id = "service_scheduler";
  other.user_id = "service_contact";
  EXPECT_TRUE(absl::IsPermissionDenied(CheckAccess(access, named)));  // for no tenant
  named.tenant = other.tenant = *ParseId("tenant_01h455vb4pex5vsknk084sn02q", "tenant", "tenant");
  EXPECT_TRUE(CheckAccess(access, named).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckAccess(access, other)));
}

TEST_F(AccessTest, AnApiKeyIsTradedOnceForATokenThatIsPassedOn) {
  Poll();
  claims_.kind = "api_key";
  claims_.subject = TypeId("key", NewUuid(now_));
  claims_.session.clear();
  grants_.traded = Token();
  grants_.traded_until = claims_.expire_time;
  for (int i = 0; i < 3; ++i) {
    auto caller = loop_.Run(authenticator_->Resolve(grants_.secret, now_));
    ASSERT_TRUE(caller.ok()) << caller.status();
    EXPECT_EQ(caller->token, grants_.traded);
    EXPECT_EQ(caller->identity->principal.kind, Principal::Kind::kApiKey);
  }
  EXPECT_EQ(grants_.trades, 1);
  // What is no key is a token.
  auto caller = loop_.Run(authenticator_->Resolve(grants_.traded, now_));
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->token, grants_.traded);
  EXPECT_EQ(grants_.trades, 1);
}

TEST_F(AccessTest, AnApiKeyThatIsNotKnownOrWasRevokedIsRefused) {
  Poll();
  for (const std::string& secret :
       {std::string("crm_short"), "crm_" + std::string(300, 'x'), "crm_" + std::string(30, 'x')}) {
    EXPECT_EQ(loop_.Run(authenticator_->Resolve(secret, now_)).status().code(), absl::StatusCode::kUnauthenticated);
  }
  EXPECT_EQ(grants_.trades, 1) << "what cannot be a secret is not asked for";
  claims_.kind = "api_key";
  claims_.subject = TypeId("key", NewUuid(now_));
  claims_.session.clear();
  grants_.traded = Token();
  grants_.traded_until = claims_.expire_time;
  ASSERT_TRUE(loop_.Run(authenticator_->Resolve(grants_.secret, now_)).ok());
  Revoke(claims_.subject, now_);
  Poll();
  const std::string secret = std::exchange(grants_.secret, "crm_another");
  EXPECT_EQ(loop_.Run(authenticator_->Resolve(secret, now_)).status().code(), absl::StatusCode::kUnauthenticated);
  grants_.up = false;
  EXPECT_EQ(loop_.Run(authenticator_->Resolve(secret, now_)).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace crm::rpc
