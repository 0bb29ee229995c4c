#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Finds the deal that has an id in another system.
Async<v1::LookupDealsResponse> DealService::LookupDeals(Call& call, const v1::LookupDealsRequest& request) {
  CRM_CO_TRY(std::string id, co_await pg::FindByExternalId(db_, call, deals_.prefix(), request.external_system(),
                                                           request.external_id()));
  v1::LookupDealsResponse response;
  if (id.empty()) co_return response;
  std::vector<std::string> ids(1, std::move(id));
  CRM_CO_TRY(auto found, co_await db_.BatchGet(call, deals_, std::move(ids)));
  for (auto& deal : found) *response.add_deals() = pg::Shown(call, deals_, std::move(deal));
  co_return response;
}

}  // namespace crm::deal_pipeline
