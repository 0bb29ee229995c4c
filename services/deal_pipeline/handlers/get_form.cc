#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Answers one form with the address that it posts to.
Async<v1::Form> LeadService::GetForm(Call& call, const v1::GetFormRequest& request) {
  CRM_CO_TRY(v1::Form form, co_await pg::GetShown(db_, call, forms_, request.id()));
  co_return WithPath(call, std::move(form));
}

}  // namespace crm::deal_pipeline
