#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/rules/products.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Makes a product.
Async<v1::Product> ProductService::CreateProduct(Call& call, const v1::CreateProductRequest& request) {
  v1::Product product = request.product();
  CRM_CO_TRY(Normalize(product, call.currency_code));
  pg::StampNew(call, products_, product);
  auto made = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Product> {
    AddProduct(batch, products_, product);
    return product;
  });
  if (!made.ok()) co_return co_await pg::NameExisting(db_, call, products_, made.status(), product);
  co_return pg::Shown(call, products_, *std::move(made));
}

}  // namespace crm::deal_pipeline
