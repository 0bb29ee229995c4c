#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Makes a web form; its owner gets its leads.
Async<v1::Form> LeadService::CreateForm(Call& call, const v1::CreateFormRequest& request) {
  v1::Form form = request.form();
  if (!form.pipeline_id().empty()) {
    CRM_CO_TRY((co_await PipelineOf(db_, call, pipelines_, form.pipeline_id(), "form.pipeline_id")).status());
  }
  if (form.owner_id().empty() && call.principal.kind == Principal::Kind::kUser)
    form.set_owner_id(call.principal.user_id);
  pg::StampNew(call, forms_, form);
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Form> {
    batch.Insert(forms_, form);
    return form;
  }));
  co_return WithPath(call, pg::Shown(call, forms_, std::move(made)));
}

}  // namespace crm::deal_pipeline
