#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists them by filter and order.
Async<v1::ListSuppressionsResponse> SuppressionService::ListSuppressions(Call& call,
                                                                         const v1::ListSuppressionsRequest& request) {
  co_return co_await pg::ListShown(db_, call, suppressions_, request,
                                   &v1::ListSuppressionsResponse::mutable_suppressions);
}

}  // namespace crm::messaging
