#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes a web form.
Async<v1::Form> LeadService::UpdateForm(Call& call, const v1::UpdateFormRequest& request) {
  CRM_CO_TRY(v1::Form before, co_await db_.Get(call, forms_, request.form().id()));
  CRM_CO_TRY(v1::Form after, pg::Patched(call, before, request.form(), request.update_mask(), request.etag()));
  if (!after.pipeline_id().empty()) {
    CRM_CO_TRY((co_await PipelineOf(db_, call, pipelines_, after.pipeline_id(), "form.pipeline_id")).status());
  }
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Form> {
    batch.Update(forms_, before, after);
    return after;
  }));
  co_return WithPath(call, pg::Shown(call, forms_, std::move(stored)));
}

}  // namespace crm::deal_pipeline
