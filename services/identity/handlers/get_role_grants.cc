#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Answers the grants of a tenant's roles.
Async<v1::GetRoleGrantsResponse> AccessService::GetRoleGrants(Call& call, const v1::GetRoleGrantsRequest& request) {
  co_return co_await RoleGrants(identity_, call, request);
}

}  // namespace crm::identity
