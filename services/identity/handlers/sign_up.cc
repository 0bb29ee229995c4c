#include <absl/strings/str_cat.h>

#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/identity/v1/events.pb.h"
#include "services/identity/rules/grants.h"
#include "services/identity/rules/passwords.h"
#include "services/identity/rules/users.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Opens an account: tenant, roles and administrator in one transaction, then a session. The tenant's id follows from
// the idempotency key, so that the same sign-up sent twice meets itself; the stored reply holds no secrets.
Async<v1::SignUpResponse> TenantService::SignUp(Call& call, const v1::SignUpRequest& request) {
  const pg::Table<v1::Tenant>& tenants = identity_.tables.tenants;
  const pg::Table<v1::User>& users = identity_.tables.users;
  v1::Tenant tenant;
  tenant.set_id(TypeId("tenant", DerivedUuid(Uuid{}, absl::StrCat("sign-up/", call.idempotency_key))));
  tenant.set_name(request.company_name());
  tenant.set_country_code(request.country_code());
  tenant.set_time_zone(request.time_zone());
  tenant.set_currency_code(request.currency_code());
  tenant.set_language(request.language());
  tenant.set_package(request.package().empty() ? "b2b_sales" : request.package());
  SetUsualWorkingHours(tenant);
  CRM_CO_TRY(Normalize(tenant));

  v1::User user;
  user.set_email(request.email());
  user.set_given_name(request.given_name());
  user.set_family_name(request.family_name());
  CRM_CO_TRY(Normalize(user, tenant.country_code()));
  CRM_CO_TRY(CheckPassword(request.password(), user.email(), "password"));
  CRM_CO_TRY(std::string hash, co_await HashPassword(identity_, request.password()));

  Call own = OwnCall(call, UuidOf(tenant.id()));
  std::vector<v1::Role> roles = PackageRoles(tenant.id(), tenant.language());
  user.set_id(DerivedId("user", tenant.id(), "administrator"));
  user.add_role_ids(roles.front().id());
  user.set_status(v1::USER_STATUS_ACTIVE);
  own.principal.user_id = user.id();
  pg::StampNew(own, tenants, tenant);
  pg::StampNew(own, users, user);
  for (auto& role : roles) pg::StampNew(own, identity_.tables.roles, role);

  auto made = co_await identity_.db.Once(own, [&](pg::Batch& batch) -> absl::StatusOr<v1::SignUpResponse> {
    batch.Add(sql::kAddLogin, pg::Params().Text(user.email()).Id(own.tenant()).Id(UuidOf(user.id())));
    batch.Insert(tenants, tenant);
    batch.Insert(users, user);
    batch.Add(sql::kPutCredential, pg::Params().Id(own.tenant()).Id(UuidOf(user.id())).Text(hash).Time(own.now()));
    for (const auto& role : roles) {
      batch.Insert(identity_.tables.roles, role);
      RoleChanged(batch, role);
      v1::RoleCreated event;
      *event.mutable_role() = role;
      batch.Emit(pg::EventOf(identity_.tables.roles, "created", role), event);
    }
    v1::TenantCreated opened;
    *opened.mutable_tenant() = tenant;
    *opened.mutable_administrator() = user;
    batch.Emit(pg::EventOf(tenants, "created", tenant), opened);
    v1::UserCreated added;
    *added.mutable_user() = user;
    batch.Emit(pg::EventOf(users, "created", user), added);
    v1::SignUpResponse reply;
    *reply.mutable_tenant() = tenant;
    *reply.mutable_user() = user;
    return reply;
  });
  if (absl::IsAlreadyExists(made.status())) {
    co_return Error(absl::StatusCode::kAlreadyExists, type::v1::ERROR_REASON_ALREADY_EXISTS,
                    "this e-mail address already has an account; sign in with it, or use another address",
                    {{"field", "email"}});
  }
  if (!made.ok()) co_return made.status();
  CRM_CO_TRY(*made->mutable_session(), co_await OpenSession(identity_, own, made->user(), /*cookie=*/false, "sign-up"));
  co_return made;
}

}  // namespace crm::identity
