#include "common/pg/records.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Lists runs by filter and order, newest first.
Async<v1::ListRuleRunsResponse> RuleService::ListRuleRuns(Call& call, const v1::ListRuleRunsRequest& request) {
  co_return co_await pg::ListShown(db_, call, runs_, request, &v1::ListRuleRunsResponse::mutable_rule_runs);
}

}  // namespace crm::scheduler
