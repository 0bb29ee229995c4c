#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Lists deals by filter and order.
Async<v1::ListDealsResponse> DealService::ListDeals(Call& call, const v1::ListDealsRequest& request) {
  co_return co_await pg::ListReply<v1::ListDealsResponse>(db_, call, deals_, request);
}

}  // namespace crm::deal_pipeline
