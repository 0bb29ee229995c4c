#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one lead as the caller may see it, as it is or as it was.
Async<v1::Lead> LeadService::GetLead(Call& call, const v1::GetLeadRequest& request) {
  co_return co_await pg::GetShownAsOf(db_, call, leads_, request);
}

}  // namespace crm::deal_pipeline
