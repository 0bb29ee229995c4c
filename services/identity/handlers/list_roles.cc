#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Lists roles by filter and order.
Async<v1::ListRolesResponse> RoleService::ListRoles(Call& call, const v1::ListRolesRequest& request) {
  co_return co_await pg::ListShown(identity_.db, call, identity_.tables.roles, request,
                                   &v1::ListRolesResponse::mutable_roles);
}

}  // namespace crm::identity
