#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Lists forms with the addresses that they post to.
Async<v1::ListFormsResponse> LeadService::ListForms(Call& call, const v1::ListFormsRequest& request) {
  CRM_CO_TRY(auto response, co_await pg::ListShown(db_, call, forms_, request, &v1::ListFormsResponse::mutable_forms));
  for (auto& form : *response.mutable_forms()) form = WithPath(call, std::move(form));
  co_return response;
}

}  // namespace crm::deal_pipeline
