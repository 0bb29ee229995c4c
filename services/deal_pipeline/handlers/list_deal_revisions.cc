#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Lists what has changed in a deal.
Async<v1::ListDealRevisionsResponse> DealService::ListDealRevisions(Call& call,
                                                                    const v1::ListDealRevisionsRequest& request) {
  co_return co_await pg::ListRevisions<v1::ListDealRevisionsResponse>(db_, call, deals_, request);
}

}  // namespace crm::deal_pipeline
