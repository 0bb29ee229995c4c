// What several of identity's handlers do alike.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/access.h"
#include "crm/identity/v1/events.pb.h"
#include "services/identity/service.h"

namespace crm::identity {

// How long an access token lives: what a revocation that nobody hears could still do.
inline constexpr absl::Duration kAccessLife = absl::Minutes(10);
// How long a session lives without being used.
inline constexpr absl::Duration kSessionLife = absl::Hours(24 * 30);

inline Uuid UuidOf(const std::string& id) { return id.empty() ? Uuid{} : ParseId(id)->uuid; }

// A call of the service itself in a tenant: for what happens before anyone is signed in.
Call OwnCall(const Call& call, const Uuid& tenant);

// Writes down that a role changed, or that a user's, session's or key's tokens are void.
void RoleChanged(pg::Batch& batch, const v1::Role& role);
void Revoke(pg::Batch& batch, const std::string& subject_id);
v1::RoleGrants GrantsOf(const std::string& tenant_id, const v1::Role& role);

// A changed user with user.updated; `revoke` voids their tokens (they get new ones with what is true now).
void ChangeUser(pg::Batch& batch, const pg::Table<v1::User>& users, const v1::User& before, const v1::User& after,
                bool revoke);

// A user's access token.
struct AccessToken {
  std::string text;
  absl::Time expire_time;
};
Async<AccessToken> TokenForUser(Identity& identity, const Call& call, const v1::User& user, std::string session_id);
Async<AccessToken> TokenForKey(Identity& identity, const Call& call, const v1::ApiKey& key);
// The token for whoever shows the key's secret. UNAUTHENTICATED if it is not known, was revoked or has expired.
Async<v1::ExchangeApiKeyResponse> TradeKey(Identity& identity, const Call& call,
                                           const v1::ExchangeApiKeyRequest& request);

// A new session of the user, with tokens, or with cookie and CSRF token.
Async<v1::Session> OpenSession(Identity& identity, const Call& call, const v1::User& user, bool cookie,
                               std::string device);

// The roles of these ids exist, and the caller holds what they grant.
Async<> CheckRoles(Identity& identity, const Call& call,
                   const google::protobuf::RepeatedPtrField<std::string>& role_ids, std::string field);
// The user exists (empty: none), in this tenant: what is done about an id must never reach another one's user.
Async<> CheckUser(Identity& identity, const Call& call, std::string user_id, std::string field);
// The team exists (empty: none).
Async<> CheckTeam(Identity& identity, const Call& call, std::string team_id, std::string field);

// Changes whenever a record's fields do: a hash over the descriptors.
std::string SchemaVersion();

// PERMISSION_DENIED unless the caller may administer users.
absl::Status CheckAdministers(const Call& call, const std::string& object);

// Changes since a cursor, and grants of roles: what AccessService answers, and what this process itself goes by.
Async<v1::ListAccessChangesResponse> AccessChanges(Identity& identity, const Call& call, std::string cursor);
Async<v1::GetRoleGrantsResponse> RoleGrants(Identity& identity, const Call& call, v1::GetRoleGrantsRequest request);
std::unique_ptr<rpc::GrantSource> LocalGrantSource(Identity& identity);

}  // namespace crm::identity
