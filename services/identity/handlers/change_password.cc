#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/rules/passwords.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Changes the caller's own password; their other sessions end.
Async<v1::User> UserService::ChangePassword(Call& call, const v1::ChangePasswordRequest& request) {
  const pg::Table<v1::User>& users = identity_.tables.users;
  CRM_CO_TRY(Uuid id, ParseId(call.principal.user_id, "user", "id"));
  CRM_CO_TRY(v1::User user, co_await identity_.db.Get(call, users, call.principal.user_id));
  CRM_CO_TRY(pg::Rows rows, co_await identity_.db.Read(call, sql::kFindCredential, pg::Params().Id(id)));
  const std::string stored = rows.empty() ? "" : std::string(rows.Text(0, 0));
  CRM_CO_TRY(bool right, co_await CheckPasswordHash(identity_, stored, request.old_password()));
  if (!right) co_return FieldError("old_password", "is not your present password");
  if (request.new_password() == request.old_password()) {
    co_return FieldError("new_password", "is your present password; choose another one");
  }
  CRM_CO_TRY(CheckPassword(request.new_password(), user.email(), "new_password"));
  CRM_CO_TRY(std::string hash, co_await HashPassword(identity_, request.new_password()));
  CRM_CO_TRY(auto answer, co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::User> {
    batch.Add(sql::kPutCredential, pg::Params().Id(call.tenant()).Id(id).Text(hash).Time(call.now()));
    batch.Add(sql::kRevokeSessionsOfUser, pg::Params().Id(call.tenant()).Id(id).Id(UuidOf(call.principal.session_id)));
    return user;
  }));
  co_return pg::Shown(call, users, std::move(answer));
}

}  // namespace crm::identity
