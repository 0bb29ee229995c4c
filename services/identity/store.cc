#include "services/identity/store.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/time.h"
#include "services/identity/rules/grants.h"
#include "services/identity/secrets.h"
#include "services/identity/sql.h"

namespace crm::identity {

Tables::Tables() {
  // The second is met when another tenant has the login: then no record is found to be named.
  for (const char* constraint : {"account_email", "directory_pkey"}) {
    users.AddUniqueKey({constraint, "user.email",
                        pg::Statement{"identity.find_user_by_email", "SELECT id FROM account_view WHERE email = $1"},
                        [](const google::protobuf::Message& user) {
                          return pg::Params().Text(static_cast<const v1::User&>(user).email());
                        }});
  }
  roles.AddUniqueKey(
      {"role_name", "role.name",
       pg::Statement{"identity.find_role_by_name", "SELECT id FROM role_view WHERE name = $1 AND delete_time IS NULL"},
       [](const google::protobuf::Message& role) {
         return pg::Params().Text(static_cast<const v1::Role&>(role).name());
       }});
}

Call OwnCall(const Call& call, const Uuid& tenant) {
  Call own = call;
  own.principal = Principal{};
  own.principal.kind = Principal::Kind::kService;
  own.principal.tenant = tenant;
  own.principal.user_id = "service_identity";
  own.token.clear();
  return own;
}

v1::RoleGrants GrantsOf(const std::string& tenant_id, const v1::Role& role) {
  v1::RoleGrants grants;
  grants.set_tenant_id(tenant_id);
  grants.set_role_id(role.id());
  if (role.has_delete_time()) return grants;
  *grants.mutable_grants() = role.grants();
  grants.set_personal_data(role.personal_data());
  return grants;
}

void RoleChanged(pg::Batch& batch, const v1::Role& role) {
  const std::string tenant_id = batch.call().principal.tenant_id();
  batch.Add(sql::kAddAccessChange, pg::Params()
                                       .Id(batch.call().tenant())
                                       .Text(role.id())
                                       .Bytes(GrantsOf(tenant_id, role).SerializeAsString())
                                       .Time(batch.call().now()));
}

void Revoke(pg::Batch& batch, const std::string& subject_id) {
  batch.Add(sql::kAddAccessChange,
            pg::Params().Id(batch.call().tenant()).Text(subject_id).Bytes("").Time(batch.call().now()));
}

void ChangeUser(pg::Batch& batch, const pg::Table<v1::User>& users, const v1::User& before, const v1::User& after,
                bool revoke) {
  batch.Update(users, before, after);
  if (revoke) Revoke(batch, after.id());
  v1::UserUpdated event;
  *event.mutable_user() = after;
  pg::NewEvent about = pg::EventOf(users, "updated", after);
  about.changed_fields = pg::ChangedFields(before, after);
  batch.Emit(about, event);
}

namespace {

// Now, or as soon after the subject's last revocation as it does not cover this token any more (tokens have whole
// seconds). At most 11 s ahead, within the leeway that verifiers allow.
Async<absl::Time> IssueTime(Identity& identity, const Call& call, std::string subject_id) {
  CRM_CO_TRY(pg::Rows rows,
             co_await identity.db.Read(call, sql::kLastRevocation, pg::Params().Text(std::move(subject_id))));
  if (rows.empty() || rows.IsNull(0, 0)) co_return call.now();
  const absl::Time past = rows.Time(0, 0) + rpc::AccessDirectory::kRevocationMargin + absl::Seconds(1);
  co_return std::max(call.now(), past);
}

}  // namespace

Async<AccessToken> TokenForUser(Identity& identity, const Call& call, const v1::User& user, std::string session_id) {
  CRM_CO_TRY(v1::Tenant tenant, co_await identity.db.Get(call, identity.tables.tenants, call.principal.tenant_id()));
  pg::Params params;
  if (user.team_id().empty()) {
    params.Null();
  } else {
    params.Id(UuidOf(user.team_id()));
  }
  CRM_CO_TRY(pg::Rows below,
             co_await identity.db.Read(call, sql::kTeamsBelow, std::move(params.Id(UuidOf(user.id())))));
  rpc::Claims claims;
  claims.issuer = identity.runtime.config().tokens().issuer();
  claims.subject = user.id();
  claims.tenant = tenant.id();
  claims.session = std::move(session_id);
  claims.team = user.team_id();
  for (int i = 0; i < below.size(); ++i) claims.teams.push_back(TypeId("team", below.Id(i, 0)));
  claims.roles.assign(user.role_ids().begin(), user.role_ids().end());
  claims.kind = "user";
  claims.language = user.language().empty() ? tenant.language() : user.language();
  claims.time_zone = user.time_zone().empty() ? tenant.time_zone() : user.time_zone();
  claims.country = tenant.country_code();
  claims.currency = tenant.currency_code();
  CRM_CO_TRY(claims.issue_time, co_await IssueTime(identity, call, user.id()));
  claims.expire_time = call.now() + kAccessLife;
  co_return AccessToken{identity.signer.Sign(claims), claims.expire_time};
}

Async<AccessToken> TokenForKey(Identity& identity, const Call& call, const v1::ApiKey& key) {
  CRM_CO_TRY(v1::Tenant tenant, co_await identity.db.Get(call, identity.tables.tenants, call.principal.tenant_id()));
  rpc::Claims claims;
  claims.issuer = identity.runtime.config().tokens().issuer();
  claims.subject = key.id();
  claims.tenant = tenant.id();
  claims.roles.assign(key.role_ids().begin(), key.role_ids().end());
  claims.kind = "api_key";
  claims.language = tenant.language();
  claims.time_zone = tenant.time_zone();
  claims.country = tenant.country_code();
  claims.currency = tenant.currency_code();
  CRM_CO_TRY(claims.issue_time, co_await IssueTime(identity, call, key.id()));
  claims.expire_time = call.now() + kAccessLife;
  if (key.has_expire_time()) claims.expire_time = std::min(claims.expire_time, FromTimestamp(key.expire_time()));
  co_return AccessToken{identity.signer.Sign(claims), claims.expire_time};
}

Async<v1::Session> OpenSession(Identity& identity, const Call& call, const v1::User& user, bool cookie,
                               std::string device) {
  const Uuid id = NewUuid(call.now());
  v1::Session session;
  session.set_id(TypeId("session", id));
  session.set_tenant_id(call.principal.tenant_id());
  session.set_user_id(user.id());
  session.set_device(device);
  *session.mutable_create_time() = ToTimestamp(call.now());
  *session.mutable_expire_time() = ToTimestamp(call.now() + kSessionLife);

  const Secret secret = NewSecret(call.tenant(), id, cookie ? "cs_" : "rt_");
  if (cookie) {
    session.set_cookie_secret(secret.text);
    session.set_csrf_token(RandomText());
  } else {
    CRM_CO_TRY(AccessToken token, co_await TokenForUser(identity, call, user, session.id()));
    session.set_access_token(std::move(token.text));
    *session.mutable_access_expire_time() = ToTimestamp(token.expire_time);
    session.set_refresh_token(secret.text);
  }
  pg::Batch batch(call);
  batch.Add(sql::kAddSession, pg::Params()
                                  .Id(call.tenant())
                                  .Id(id)
                                  .Id(UuidOf(user.id()))
                                  .Bytes(cookie ? "" : secret.hash)
                                  .Bytes(cookie ? secret.hash : "")
                                  .Text(cookie ? HexSha256(session.csrf_token()) : "")
                                  .Text(device)
                                  .Time(call.now())
                                  .Time(call.now() + kSessionLife));
  CRM_CO_TRY(co_await identity.db.Write(call, std::move(batch)));
  co_return session;
}

Async<> CheckRoles(Identity& identity, const Call& call,
                   const google::protobuf::RepeatedPtrField<std::string>& role_ids, std::string field) {
  CRM_CO_TRY(auto roles, co_await identity.db.BatchGet(call, identity.tables.roles,
                                                       std::vector<std::string>(role_ids.begin(), role_ids.end())));
  for (int i = 0; i < role_ids.size(); ++i) {
    bool found = false;
    for (const auto& role : roles) {
      if (role.id() != role_ids[i]) continue;
      found = true;
      CRM_CO_TRY(CheckGrantable(call, role.grants(), role.personal_data()));
    }
    if (!found) co_return FieldError(absl::StrCat(field, "[", i, "]"), absl::StrCat("there is no role ", role_ids[i]));
  }
  co_return absl::OkStatus();
}

Async<> CheckUser(Identity& identity, const Call& call, std::string user_id, std::string field) {
  if (user_id.empty()) co_return absl::OkStatus();
  auto user = co_await identity.db.Get(call, identity.tables.users, user_id);
  if (absl::IsNotFound(user.status())) co_return FieldError(field, absl::StrCat("there is no user ", user_id));
  co_return user.status();
}

Async<> CheckTeam(Identity& identity, const Call& call, std::string team_id, std::string field) {
  if (team_id.empty()) co_return absl::OkStatus();
  auto team = co_await identity.db.Get(call, identity.tables.teams, team_id);
  if (absl::IsNotFound(team.status())) co_return FieldError(field, absl::StrCat("there is no team ", team_id));
  co_return team.status();
}

std::string SchemaVersion() {
  static const std::string version = [] {
    std::string all;
    for (const auto* file :
         {v1::Tenant::descriptor()->file(), v1::User::descriptor()->file(), v1::Role::descriptor()->file(),
          v1::Team::descriptor()->file(), v1::ApiKey::descriptor()->file()}) {
      all += file->DebugString();
    }
    return HexSha256(all).substr(0, 12);
  }();
  return version;
}

absl::Status CheckAdministers(const Call& call, const std::string& object) {
  if (call.ScopeOf(object, type::v1::ACTION_ADMINISTER) != type::v1::SCOPE_UNSPECIFIED) return absl::OkStatus();
  return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
               absl::StrCat("your roles do not grant ", object, ".administer"), {{"right", object + ".administer"}});
}

Async<v1::ListAccessChangesResponse> AccessChanges(Identity& identity, const Call& call, std::string cursor) {
  pg::Params params;
  int64_t micros = 0;
  if (cursor.empty() || !absl::SimpleAtoi(cursor, &micros)) {
    params.Null();
  } else {
    params.Time(absl::FromUnixMicros(micros));
  }
  CRM_CO_TRY(pg::Rows rows, co_await identity.runtime.worker_db().Read(call, sql::kListAccessChanges, std::move(params),
                                                                       pg::Work::kPoint));
  v1::ListAccessChangesResponse response;
  response.set_cursor(cursor);
  for (int i = 0; i < rows.size(); ++i) {
    const std::string subject(rows.Text(i, 0));
    const absl::string_view grants = rows.Bytes(i, 1);
    if (grants.empty()) {
      auto* revocation = response.add_revocations();
      revocation->set_subject_id(subject);
      *revocation->mutable_time() = ToTimestamp(rows.Time(i, 2));
    } else if (!response.add_roles()->ParseFromArray(grants.data(), static_cast<int>(grants.size()))) {
      co_return absl::DataLossError(absl::StrCat("the grants of ", subject, " cannot be read"));
    }
    response.set_cursor(absl::StrCat(absl::ToUnixMicros(rows.Time(i, 2))));
  }
  co_return response;
}

Async<v1::GetRoleGrantsResponse> RoleGrants(Identity& identity, const Call& call, v1::GetRoleGrantsRequest request) {
  CRM_CO_TRY(Uuid tenant, ParseId(request.tenant_id(), "tenant", "tenant_id"));
  const Call own = OwnCall(call, tenant);
  CRM_CO_TRY(auto roles, co_await identity.db.BatchGet(
                             own, identity.tables.roles,
                             std::vector<std::string>(request.role_ids().begin(), request.role_ids().end())));
  v1::GetRoleGrantsResponse response;
  for (const auto& role : roles) *response.add_roles() = GrantsOf(request.tenant_id(), role);
  co_return response;
}

Async<v1::ExchangeApiKeyResponse> TradeKey(Identity& identity, const Call& call,
                                           const v1::ExchangeApiKeyRequest& request) {
  CRM_CO_TRY(OpenedSecret secret, OpenSecret(request.secret(), "crm_"));
  const Call own = OwnCall(call, secret.tenant);
  CRM_CO_TRY(pg::Rows rows, co_await identity.db.Read(own, sql::kFindApiKeySecret, pg::Params().Id(secret.row)));
  if (rows.empty() || !SameBytes(std::string(rows.Bytes(0, 0)), secret.hash)) {
    co_return NotSignedIn("there is no such API key");
  }
  auto key = co_await identity.db.Get(own, identity.tables.api_keys, TypeId("key", secret.row));
  if (absl::IsNotFound(key.status())) co_return NotSignedIn("the API key was revoked");
  if (!key.ok()) co_return key.status();
  if (key->has_expire_time() && FromTimestamp(key->expire_time()) <= own.now()) {
    co_return NotSignedIn("the API key has expired; make a new one");
  }
  CRM_CO_TRY(AccessToken token, co_await TokenForKey(identity, own, *key));
  v1::ExchangeApiKeyResponse response;
  response.set_access_token(std::move(token.text));
  *response.mutable_expire_time() = ToTimestamp(token.expire_time);
  co_return response;
}

std::unique_ptr<rpc::GrantSource> LocalGrantSource(Identity& identity) {
  struct Source final : rpc::GrantSource {
    explicit Source(Identity& identity) : identity(identity) {}
    Identity& identity;
    Async<v1::ListAccessChangesResponse> ListAccessChanges(v1::ListAccessChangesRequest request) override {
      const Call call = identity.runtime.OwnCall(Uuid{});
      co_return co_await AccessChanges(identity, call, request.cursor());
    }
    Async<v1::GetRoleGrantsResponse> GetRoleGrants(v1::GetRoleGrantsRequest request) override {
      const Call call = identity.runtime.OwnCall(Uuid{});
      co_return co_await RoleGrants(identity, call, std::move(request));
    }
    Async<v1::ExchangeApiKeyResponse> ExchangeApiKey(v1::ExchangeApiKeyRequest request) override {
      const Call call = identity.runtime.OwnCall(Uuid{});
      co_return co_await TradeKey(identity, call, request);
    }
  };
  return std::make_unique<Source>(identity);
}

}  // namespace crm::identity
