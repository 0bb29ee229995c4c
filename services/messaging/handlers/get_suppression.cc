#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Answers one as the caller may see it.
Async<v1::Suppression> SuppressionService::GetSuppression(Call& call, const v1::GetSuppressionRequest& request) {
  co_return co_await pg::GetShown(db_, call, suppressions_, request.id());
}

}  // namespace crm::messaging
