#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/save_rule.h"
#include "services/scheduler/jobs/automation_calls.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Makes a rule; from then on it works, if it is enabled.
Async<v1::Rule> RuleService::CreateRule(Call& call, const v1::CreateRuleRequest& request) {
  v1::Rule rule = request.rule();
  if (rule.owner_id().empty() && call.principal.kind == Principal::Kind::kUser)
    rule.set_owner_id(call.principal.user_id);
  pg::StampNew(call, rules_, rule);
  rule.set_version(1);
  CRM_CO_TRY(co_await automation::CheckRuleIds(db_, call, rules_, rule));
  CRM_CO_TRY(const auto others, co_await book_.Read(call));
  CRM_CO_TRY(const absl::Time now, co_await DueNow(db_, call));
  CRM_CO_TRY(automation::CheckSave(call, *others, rule));
  CRM_CO_TRY(co_await automation::CheckCalls(effects_, call, nullptr, rule));
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Rule> {
    batch.Insert(rules_, rule);
    automation::AddSave(batch, *others, nullptr, rule, now);
    automation::EmitRule(batch, rules_, nullptr, rule);
    return rule;
  }));
  (co_await book_.Load(call.tenant())).IgnoreError();  // else the next refresh does
  co_return pg::Shown(call, rules_, std::move(made));
}

}  // namespace crm::scheduler
