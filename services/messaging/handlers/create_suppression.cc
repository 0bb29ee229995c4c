#include "common/base/email.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Suspends an address by hand.
Async<v1::Suppression> SuppressionService::CreateSuppression(Call& call, const v1::CreateSuppressionRequest& request) {
  v1::Suppression made = request.suppression();
  CRM_CO_TRY(*made.mutable_address(), NormalizeEmail(made.address(), "suppression.address"));
  made.set_reason(v1::SUPPRESSION_REASON_MANUAL);
  pg::StampNew(call, suppressions_, made);
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Suppression> {
    batch.Insert(suppressions_, made);
    EmitRecord<v1::SuppressionCreated>(batch, suppressions_, "created", made);
    return made;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, suppressions_, stored.status(), made);
  co_return pg::Shown(call, suppressions_, *std::move(stored));
}

}  // namespace crm::messaging
