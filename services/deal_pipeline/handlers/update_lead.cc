#include "common/app/members.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/rules/leads.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes the masked fields of a lead.
Async<v1::Lead> LeadService::UpdateLead(Call& call, const v1::UpdateLeadRequest& request) {
  CRM_CO_TRY(v1::Lead before, co_await db_.Get(call, leads_, request.lead().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Lead after, pg::Patched(call, before, request.lead(), request.update_mask(), request.etag()));
  CRM_CO_TRY(Normalize(after, call.country_code));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, before, after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Lead> {
    v1::LeadUpdated event;
    *event.mutable_lead() = after;
    ChangeLead(batch, leads_, before, after, "updated", event);
    return after;
  }));
  co_return pg::Shown(call, leads_, std::move(stored));
}

}  // namespace crm::deal_pipeline
