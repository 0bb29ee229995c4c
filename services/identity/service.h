// Identity's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include "common/app/app.h"
#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "common/rpc/token.h"
#include "crm/identity/v1/access.pb.h"
#include "crm/identity/v1/api_key.pb.h"
#include "crm/identity/v1/role.pb.h"
#include "crm/identity/v1/session.pb.h"
#include "crm/identity/v1/team.pb.h"
#include "crm/identity/v1/tenant.pb.h"
#include "crm/identity/v1/time.pb.h"
#include "crm/identity/v1/user.pb.h"

namespace crm::identity {

// The record tables, compiled once.
struct Tables {
  Tables();
  pg::Table<v1::Tenant> tenants{"identity"};
  pg::Table<v1::User> users{"identity"};
  pg::Table<v1::Team> teams{"identity"};
  pg::Table<v1::Role> roles{"identity"};
  pg::Table<v1::ApiKey> api_keys{"identity"};
};

// What the handlers share: database, tables, the signing key, the pool for argon2id. Lives as long as the process.
struct Identity {
  app::Runtime& runtime;
  pg::Db& db;
  Tables tables;
  rpc::TokenSigner& signer;
};

class TenantService final : public rpc::Service {
 public:
  explicit TenantService(Identity& identity) : rpc::Service("crm.identity.v1.TenantService"), identity_(identity) {}
  CRM_RPC(SignUp, v1::SignUpRequest, v1::SignUpResponse)
  CRM_RPC(GetTenant, v1::GetTenantRequest, v1::Tenant)
  CRM_RPC(UpdateTenant, v1::UpdateTenantRequest, v1::Tenant)

 private:
  Identity& identity_;
};

class UserService final : public rpc::Service {
 public:
  explicit UserService(Identity& identity) : rpc::Service("crm.identity.v1.UserService"), identity_(identity) {}
  CRM_RPC(CreateUser, v1::CreateUserRequest, v1::User)
  CRM_RPC(GetUser, v1::GetUserRequest, v1::User)
  CRM_RPC(ListUsers, v1::ListUsersRequest, v1::ListUsersResponse)
  CRM_RPC(UpdateUser, v1::UpdateUserRequest, v1::User)
  CRM_RPC(SuspendUser, v1::SuspendUserRequest, v1::User)
  CRM_RPC(ResumeUser, v1::ResumeUserRequest, v1::User)
  CRM_RPC(ChangePassword, v1::ChangePasswordRequest, v1::User)

 private:
  Identity& identity_;
};

class TeamService final : public rpc::Service {
 public:
  explicit TeamService(Identity& identity) : rpc::Service("crm.identity.v1.TeamService"), identity_(identity) {}
  CRM_RPC(CreateTeam, v1::CreateTeamRequest, v1::Team)
  CRM_RPC(GetTeam, v1::GetTeamRequest, v1::Team)
  CRM_RPC(ListTeams, v1::ListTeamsRequest, v1::ListTeamsResponse)
  CRM_RPC(UpdateTeam, v1::UpdateTeamRequest, v1::Team)
  CRM_RPC(DeleteTeam, v1::DeleteTeamRequest, v1::Team)
  CRM_RPC(UndeleteTeam, v1::UndeleteTeamRequest, v1::Team)

 private:
  Identity& identity_;
};

class RoleService final : public rpc::Service {
 public:
  explicit RoleService(Identity& identity) : rpc::Service("crm.identity.v1.RoleService"), identity_(identity) {}
  CRM_RPC(CreateRole, v1::CreateRoleRequest, v1::Role)
  CRM_RPC(GetRole, v1::GetRoleRequest, v1::Role)
  CRM_RPC(ListRoles, v1::ListRolesRequest, v1::ListRolesResponse)
  CRM_RPC(UpdateRole, v1::UpdateRoleRequest, v1::Role)
  CRM_RPC(DeleteRole, v1::DeleteRoleRequest, v1::Role)

 private:
  Identity& identity_;
};

class SessionService final : public rpc::Service {
 public:
  explicit SessionService(Identity& identity) : rpc::Service("crm.identity.v1.SessionService"), identity_(identity) {}
  CRM_RPC(CreateSession, v1::CreateSessionRequest, v1::Session)
  CRM_RPC(RefreshSession, v1::RefreshSessionRequest, v1::Session)
  CRM_RPC(ListSessions, v1::ListSessionsRequest, v1::ListSessionsResponse)
  CRM_RPC(DeleteSession, v1::DeleteSessionRequest, v1::DeleteSessionResponse)
  CRM_RPC(GetCurrentSession, v1::GetCurrentSessionRequest, v1::CurrentSession)
  CRM_RPC(ExchangeSession, v1::ExchangeSessionRequest, v1::ExchangeSessionResponse)

 private:
  Identity& identity_;
};

class ApiKeyService final : public rpc::Service {
 public:
  explicit ApiKeyService(Identity& identity) : rpc::Service("crm.identity.v1.ApiKeyService"), identity_(identity) {}
  CRM_RPC(CreateApiKey, v1::CreateApiKeyRequest, v1::ApiKey)
  CRM_RPC(ListApiKeys, v1::ListApiKeysRequest, v1::ListApiKeysResponse)
  CRM_RPC(DeleteApiKey, v1::DeleteApiKeyRequest, v1::ApiKey)
  CRM_RPC(ExchangeApiKey, v1::ExchangeApiKeyRequest, v1::ExchangeApiKeyResponse)

 private:
  Identity& identity_;
};

class AccessService final : public rpc::Service {
 public:
  explicit AccessService(Identity& identity) : rpc::Service("crm.identity.v1.AccessService"), identity_(identity) {}
  CRM_RPC(ListAccessChanges, v1::ListAccessChangesRequest, v1::ListAccessChangesResponse)
  CRM_RPC(GetRoleGrants, v1::GetRoleGrantsRequest, v1::GetRoleGrantsResponse)

 private:
  Identity& identity_;
};

class TimeService final : public rpc::Service {
 public:
  TimeService() : rpc::Service("crm.identity.v1.TimeService") {}
  CRM_RPC(GetTime, v1::GetTimeRequest, v1::GetTimeResponse)
};

}  // namespace crm::identity
