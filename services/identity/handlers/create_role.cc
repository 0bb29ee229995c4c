#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/rules/grants.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Makes a role of rights that the caller holds too.
Async<v1::Role> RoleService::CreateRole(Call& call, const v1::CreateRoleRequest& request) {
  v1::Role role = request.role();
  CRM_CO_TRY(CheckGrantable(call, role.grants(), role.personal_data()));
  role.clear_code();
  pg::StampNew(call, identity_.tables.roles, role);
  auto made = co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Role> {
    batch.Insert(identity_.tables.roles, role);
    RoleChanged(batch, role);
    v1::RoleCreated event;
    *event.mutable_role() = role;
    batch.Emit(pg::EventOf(identity_.tables.roles, "created", role), event);
    return role;
  });
  if (!made.ok()) co_return co_await pg::NameExisting(identity_.db, call, identity_.tables.roles, made.status(), role);
  co_return pg::Shown(call, identity_.tables.roles, *std::move(made));
}

}  // namespace crm::identity
