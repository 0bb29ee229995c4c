#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one deal as the caller may see it, as it is or as it was.
Async<v1::Deal> DealService::GetDeal(Call& call, const v1::GetDealRequest& request) {
  co_return co_await pg::GetShownAsOf(db_, call, deals_, request);
}

}  // namespace crm::deal_pipeline
