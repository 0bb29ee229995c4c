#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Lists leads by filter and order.
Async<v1::ListLeadsResponse> LeadService::ListLeads(Call& call, const v1::ListLeadsRequest& request) {
  co_return co_await pg::ListShown(db_, call, leads_, request, &v1::ListLeadsResponse::mutable_leads);
}

}  // namespace crm::deal_pipeline
