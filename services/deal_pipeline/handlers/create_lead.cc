#include "common/app/members.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/rules/leads.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Takes a request down by hand or from another system.
Async<v1::Lead> LeadService::CreateLead(Call& call, const v1::CreateLeadRequest& request) {
  v1::Lead lead = request.lead();
  CRM_CO_TRY(Normalize(lead, call.country_code));
  lead.set_status(v1::LEAD_STATUS_NEW);
  CRM_CO_TRY(co_await app::FillTeam(db_, call, lead));
  pg::StampNew(call, leads_, lead);
  CRM_CO_TRY(pg::CheckCreate(call, leads_, lead));
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Lead> {
    AddLead(batch, leads_, lead);
    return lead;
  }));
  co_return pg::Shown(call, leads_, std::move(made));
}

}  // namespace crm::deal_pipeline
