#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/handlers/change_role.h"
#include "services/identity/rules/grants.h"
#include "services/identity/service.h"

namespace crm::identity {

// Changes a role. Nobody gives more than they hold, and the administrator's role keeps all its rights.
Async<v1::Role> RoleService::UpdateRole(Call& call, const v1::UpdateRoleRequest& request) {
  CRM_CO_TRY(v1::Role before, co_await identity_.db.Get(call, identity_.tables.roles, request.role().id()));
  CRM_CO_TRY(v1::Role after, pg::Patched(call, before, request.role(), request.update_mask(), request.etag()));
  CRM_CO_TRY(CheckGrantable(call, after.grants(), after.personal_data()));
  const auto changed = pg::ChangedFields(before, after);
  if (before.code() == "administrator" && std::find(changed.begin(), changed.end(), "grants") != changed.end()) {
    co_return FieldError("role.grants",
                         "of the administrator cannot be changed: somebody must be able to undo everything");
  }
  co_return co_await StoreRole(identity_, call, std::move(before), std::move(after));
}

}  // namespace crm::identity
