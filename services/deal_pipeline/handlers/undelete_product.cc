#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Restores a product.
Async<v1::Product> ProductService::UndeleteProduct(Call& call, const v1::UndeleteProductRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Undeleting(db_, call, products_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Product> {
    v1::ProductUpdated event;
    *event.mutable_product() = change.after;
    products_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    batch.Emit(pg::EventOf(products_, "updated", change.after), event);
    return change.after;
  }));
  co_return pg::Shown(call, products_, std::move(stored));
}

}  // namespace crm::deal_pipeline
