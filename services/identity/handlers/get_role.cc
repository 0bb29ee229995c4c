#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Answers one role.
Async<v1::Role> RoleService::GetRole(Call& call, const v1::GetRoleRequest& request) {
  co_return co_await pg::GetShown(identity_.db, call, identity_.tables.roles, request.id());
}

}  // namespace crm::identity
