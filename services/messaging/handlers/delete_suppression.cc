#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lifts a suppression: the address is written to again.
Async<v1::Suppression> SuppressionService::DeleteSuppression(Call& call, const v1::DeleteSuppressionRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, suppressions_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Suppression> {
    suppressions_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    EmitRecord<v1::SuppressionDeleted>(batch, suppressions_, "deleted", change.after);
    return change.after;
  }));
  co_return pg::Shown(call, suppressions_, std::move(stored));
}

}  // namespace crm::messaging
