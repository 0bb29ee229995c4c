#include "common/base/error.h"
#include "common/base/status.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes the product that has the external id, or makes it.
Async<v1::Product> ProductService::UpsertProduct(Call& call, const v1::UpsertProductRequest& request) {
  CRM_CO_TRY(const std::string found, co_await pg::FindToUpsert(db_, call, request.product(), "product"));
  if (found.empty()) {
    v1::CreateProductRequest create;
    *create.mutable_product() = request.product();
    auto made = co_await CreateProduct(call, create);
    // Someone made it between the look and the write: look again.
    if (absl::IsAlreadyExists(made.status())) co_return LostRace(request.product().external_ids(0).id());
    co_return made;
  }
  v1::UpdateProductRequest update;
  *update.mutable_product() = request.product();
  update.mutable_product()->set_id(found);
  *update.mutable_update_mask() = pg::UpsertMask(request.product(), request.update_mask());
  co_return co_await UpdateProduct(call, update);
}

}  // namespace crm::deal_pipeline
