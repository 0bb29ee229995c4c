#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Lists leads by filter and order.
Async<v1::ListLeadsResponse> LeadService::ListLeads(Call& call, const v1::ListLeadsRequest& request) {
  co_return co_await pg::ListReply<v1::ListLeadsResponse>(db_, call, leads_, request);
}

}  // namespace crm::deal_pipeline
