#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/rules/products.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes the masked fields of a product; deals keep the names and prices that they were made with.
Async<v1::Product> ProductService::UpdateProduct(Call& call, const v1::UpdateProductRequest& request) {
  CRM_CO_TRY(v1::Product before, co_await db_.Get(call, products_, request.product().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Product after, pg::Patched(call, before, request.product(), request.update_mask(), request.etag()));
  CRM_CO_TRY(Normalize(after, call.currency_code));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Product> {
    batch.Update(products_, before, after);
    pg::ReplaceExternalIds(batch, "product", before, after);
    v1::ProductUpdated event;
    *event.mutable_product() = after;
    pg::NewEvent about = pg::EventOf(products_, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, products_, stored.status(), after);
  co_return pg::Shown(call, products_, *std::move(stored));
}

}  // namespace crm::deal_pipeline
