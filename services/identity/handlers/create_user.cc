#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/identity/v1/events.pb.h"
#include "services/identity/rules/passwords.h"
#include "services/identity/rules/users.h"
#include "services/identity/secrets.h"
#include "services/identity/service.h"
#include "services/identity/sql.h"
#include "services/identity/store.h"

namespace crm::identity {

// Makes a user. The password's hash stands apart from the record and in no reply.
Async<v1::User> UserService::CreateUser(Call& call, const v1::CreateUserRequest& request) {
  const pg::Table<v1::User>& users = identity_.tables.users;
  v1::User user = request.user();
  user.clear_password();
  CRM_CO_TRY(Normalize(user, call.country_code));
  CRM_CO_TRY(co_await CheckRoles(identity_, call, user.role_ids(), "user.role_ids"));
  CRM_CO_TRY(co_await CheckTeam(identity_, call, user.team_id(), "user.team_id"));
  CRM_CO_TRY(co_await CheckUser(identity_, call, user.manager_id(), "user.manager_id"));
  std::string hash;
  if (!request.user().password().empty()) {
    CRM_CO_TRY(CheckPassword(request.user().password(), user.email(), "user.password"));
    CRM_CO_TRY(hash, co_await HashPassword(identity_, request.user().password()));
  }
  user.set_status(v1::USER_STATUS_ACTIVE);
  pg::StampNew(call, users, user);
  auto made = co_await identity_.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::User> {
    batch.Insert(users, user);
    batch.Add(sql::kAddLogin, pg::Params().Text(user.email()).Id(call.tenant()).Id(UuidOf(user.id())));
    if (!hash.empty()) {
      batch.Add(sql::kPutCredential, pg::Params().Id(call.tenant()).Id(UuidOf(user.id())).Text(hash).Time(call.now()));
    }
    v1::UserCreated event;
    *event.mutable_user() = user;
    batch.Emit(pg::EventOf(users, "created", user), event);
    return user;
  });
  if (!made.ok()) co_return co_await pg::NameExisting(identity_.db, call, users, made.status(), user);
  co_return pg::Shown(call, users, *std::move(made));
}

}  // namespace crm::identity
