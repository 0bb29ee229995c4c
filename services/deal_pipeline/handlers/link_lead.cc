#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/rules/leads.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Adds a lead to a deal that exists and that the caller may change.
Async<v1::Lead> LeadService::LinkLead(Call& call, const v1::LinkLeadRequest& request) {
  CRM_CO_TRY(v1::Lead before, co_await db_.Get(call, leads_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  CRM_CO_TRY(CheckNew(before));
  CRM_CO_TRY(v1::Deal deal, co_await db_.Get(call, deals_, request.deal_id(), type::v1::ACTION_UPDATE));
  v1::Lead after = before;
  after.set_status(v1::LEAD_STATUS_LINKED);
  after.set_deal_id(deal.id());
  after.set_contact_id(deal.contact_id());
  *after.mutable_close_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Lead> {
    v1::LeadLinked event;
    *event.mutable_lead() = after;
    ChangeLead(batch, leads_, before, after, "linked", event);
    return after;
  }));
  co_return pg::Shown(call, leads_, std::move(stored));
}

}  // namespace crm::deal_pipeline
