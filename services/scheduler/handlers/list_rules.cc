#include "common/pg/records.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Lists them by filter and order.
Async<v1::ListRulesResponse> RuleService::ListRules(Call& call, const v1::ListRulesRequest& request) {
  co_return co_await pg::ListShown(db_, call, rules_, request, &v1::ListRulesResponse::mutable_rules);
}

}  // namespace crm::scheduler
