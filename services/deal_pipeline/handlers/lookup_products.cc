#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Finds the product that has an id in another system.
Async<v1::LookupProductsResponse> ProductService::LookupProducts(Call& call, const v1::LookupProductsRequest& request) {
  CRM_CO_TRY(std::string id, co_await pg::FindByExternalId(db_, call, products_.prefix(), request.external_system(),
                                                           request.external_id()));
  v1::LookupProductsResponse response;
  if (id.empty()) co_return response;
  std::vector<std::string> ids(1, std::move(id));
  CRM_CO_TRY(auto found, co_await db_.BatchGet(call, products_, std::move(ids)));
  for (auto& product : found) *response.add_products() = pg::Shown(call, products_, std::move(product));
  co_return response;
}

}  // namespace crm::deal_pipeline
