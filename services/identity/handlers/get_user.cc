#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Answers one user; "me" is the caller.
Async<v1::User> UserService::GetUser(Call& call, const v1::GetUserRequest& request) {
  const std::string id = request.id() == "me" ? call.principal.user_id : request.id();
  CRM_CO_TRY(ParseId(id, "user", "id").status());
  co_return co_await pg::GetShown(identity_.db, call, identity_.tables.users, id);
}

}  // namespace crm::identity
