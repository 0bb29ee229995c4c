#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one product as the caller may see it.
Async<v1::Product> ProductService::GetProduct(Call& call, const v1::GetProductRequest& request) {
  co_return co_await pg::GetShown(db_, call, products_, request.id());
}

}  // namespace crm::deal_pipeline
