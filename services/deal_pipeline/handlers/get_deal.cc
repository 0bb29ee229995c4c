#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one deal as the caller may see it.
Async<v1::Deal> DealService::GetDeal(Call& call, const v1::GetDealRequest& request) {
  co_return co_await pg::GetShown(db_, call, deals_, request.id());
}

}  // namespace crm::deal_pipeline
