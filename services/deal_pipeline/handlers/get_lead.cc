#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one lead as the caller may see it.
Async<v1::Lead> LeadService::GetLead(Call& call, const v1::GetLeadRequest& request) {
  co_return co_await pg::GetShown(db_, call, leads_, request.id());
}

}  // namespace crm::deal_pipeline
