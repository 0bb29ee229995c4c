#include "common/pg/records.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Answers one as the caller may see it.
Async<v1::Rule> RuleService::GetRule(Call& call, const v1::GetRuleRequest& request) {
  co_return co_await pg::GetShown(db_, call, rules_, request.id());
}

}  // namespace crm::scheduler
