#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one product as the caller may see it, as it is or as it was.
Async<v1::Product> ProductService::GetProduct(Call& call, const v1::GetProductRequest& request) {
  co_return co_await pg::GetShownAsOf(db_, call, products_, request);
}

}  // namespace crm::deal_pipeline
