#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Shuts a user out: sessions end, tokens issued so far are refused everywhere within seconds.
Async<v1::User> UserService::SuspendUser(Call& call, const v1::SuspendUserRequest& request) {
  const pg::Table<v1::User>& users = identity_.tables.users;
  CRM_CO_TRY(v1::User before, co_await identity_.db.Get(call, users, request.id()));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (before.id() == call.principal.user_id)
    co_return StateError("you cannot suspend yourself; ask another administrator");
  if (before.status() == v1::USER_STATUS_SUSPENDED) co_return pg::Shown(call, users, std::move(before));
  v1::User after = before;
  after.set_status(v1::USER_STATUS_SUSPENDED);
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::User> {
    batch.Add(sql::kRevokeSessionsOfUser, pg::Params().Id(call.tenant()).Id(UuidOf(after.id())).Null());
    ChangeUser(batch, users, before, after, /*revoke=*/true);
    return after;
  }));
  co_return pg::Shown(call, users, std::move(stored));
}

}  // namespace crm::identity
