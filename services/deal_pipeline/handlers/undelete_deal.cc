#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Restores a deal.
Async<v1::Deal> DealService::UndeleteDeal(Call& call, const v1::UndeleteDealRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Undeleting(db_, call, deals_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Deal> {
    v1::DealUndeleted event;
    *event.mutable_deal() = change.after;
    ChangeDeal(batch, deals_, change.before, change.after, "undeleted", event, type::v1::ACTION_DELETE);
    return change.after;
  }));
  co_return pg::Shown(call, deals_, std::move(stored));
}

}  // namespace crm::deal_pipeline
