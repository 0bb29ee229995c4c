#include <algorithm>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/rules/users.h"
#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Changes a user. When roles or team change, tokens issued so far end; the next ones say what is true now.
Async<v1::User> UserService::UpdateUser(Call& call, const v1::UpdateUserRequest& request) {
  const pg::Table<v1::User>& users = identity_.tables.users;
  CRM_CO_TRY(v1::User before, co_await identity_.db.Get(call, users, request.user().id()));
  if (!request.user().password().empty()) {
    co_return FieldError("user.password", "cannot be set here; users change their own by :changePassword");
  }
  CRM_CO_TRY(v1::User after, pg::Patched(call, before, request.user(), request.update_mask(), request.etag()));
  CRM_CO_TRY(Normalize(after, call.country_code));
  const std::vector<std::string> changed = pg::ChangedFields(before, after);
  const auto has = [&](const char* field) { return std::find(changed.begin(), changed.end(), field) != changed.end(); };
  if (has("role_ids")) CRM_CO_TRY(co_await CheckRoles(identity_, call, after.role_ids(), "user.role_ids"));
  if (has("team_id")) CRM_CO_TRY(co_await CheckTeam(identity_, call, after.team_id(), "user.team_id"));
  if (has("manager_id")) CRM_CO_TRY(co_await CheckUser(identity_, call, after.manager_id(), "user.manager_id"));
  auto stored = co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::User> {
    ChangeUser(batch, users, before, after, /*revoke=*/has("role_ids") || has("team_id"));
    return after;
  });
  if (!stored.ok()) co_return stored.status();
  co_return pg::Shown(call, users, *std::move(stored));
}

}  // namespace crm::identity
