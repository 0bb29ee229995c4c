#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/handlers/change_role.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"

namespace crm::identity {

// Deletes a role that nobody holds.
Async<v1::Role> RoleService::DeleteRole(Call& call, const v1::DeleteRoleRequest& request) {
  CRM_CO_TRY(auto change,
             co_await pg::Deleting(identity_.db, call, identity_.tables.roles, request.id(), request.etag()));
  if (change.before.code() == "administrator") co_return StateError("the administrator's role cannot be deleted");
  CRM_CO_TRY(pg::Rows held,
             co_await identity_.db.Read(call, sql::kRoleHolders, pg::Params().Id(UuidOf(change.before.id()))));
  if (!held.empty()) co_return StateError("users or API keys hold this role; give them another one first");
  co_return co_await StoreRole(identity_, call, std::move(change.before), std::move(change.after));
}

}  // namespace crm::identity
