#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Deletes a deal; it can be restored.
Async<v1::Deal> DealService::DeleteDeal(Call& call, const v1::DeleteDealRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, deals_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Deal> {
    v1::DealDeleted event;
    *event.mutable_deal() = change.after;
    ChangeDeal(batch, deals_, change.before, change.after, "deleted", event, type::v1::ACTION_DELETE);
    return change.after;
  }));
  co_return pg::Shown(call, deals_, std::move(stored));
}

}  // namespace crm::deal_pipeline
