#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Lets a suspended user in again; they sign in anew.
Async<v1::User> UserService::ResumeUser(Call& call, const v1::ResumeUserRequest& request) {
  const pg::Table<v1::User>& users = identity_.tables.users;
  CRM_CO_TRY(v1::User before, co_await identity_.db.Get(call, users, request.id()));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (before.status() == v1::USER_STATUS_ACTIVE) co_return pg::Shown(call, users, std::move(before));
  v1::User after = before;
  after.set_status(v1::USER_STATUS_ACTIVE);
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::User> {
    ChangeUser(batch, users, before, after, /*revoke=*/false);
    return after;
  }));
  co_return pg::Shown(call, users, std::move(stored));
}

}  // namespace crm::identity
