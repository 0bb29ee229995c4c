#include "services/identity/service.h"
#include "services/identity/store.h"

namespace crm::identity {

// Answers what changed in rights since a cursor, across tenants.
Async<v1::ListAccessChangesResponse> AccessService::ListAccessChanges(Call& call,
                                                                      const v1::ListAccessChangesRequest& request) {
  co_return co_await AccessChanges(identity_, call, request.cursor());
}

}  // namespace crm::identity
