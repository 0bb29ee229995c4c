#include "common/pg/records.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Answers one run with its steps.
Async<v1::RuleRun> RuleService::GetRuleRun(Call& call, const v1::GetRuleRunRequest& request) {
  co_return co_await pg::GetShown(db_, call, runs_, request.id());
}

}  // namespace crm::scheduler
