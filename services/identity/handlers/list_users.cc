#include "common/pg/records.h"
#include "services/identity/service.h"

namespace crm::identity {

// Lists users by filter and order.
Async<v1::ListUsersResponse> UserService::ListUsers(Call& call, const v1::ListUsersRequest& request) {
  co_return co_await pg::ListShown(identity_.db, call, identity_.tables.users, request,
                                   &v1::ListUsersResponse::mutable_users);
}

}  // namespace crm::identity
