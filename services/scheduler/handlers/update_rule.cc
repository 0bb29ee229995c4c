#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/save_rule.h"
#include "services/scheduler/jobs/automation_calls.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Changes a rule; what it does differently is another version.
Async<v1::Rule> RuleService::UpdateRule(Call& call, const v1::UpdateRuleRequest& request) {
  CRM_CO_TRY(v1::Rule before, co_await db_.Get(call, rules_, request.rule().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Rule after, pg::Patched(call, before, request.rule(), request.update_mask(), request.etag()));
  if (!automation::SameWork(before, after)) after.set_version(before.version() + 1);
  CRM_CO_TRY(co_await automation::CheckRuleIds(db_, call, rules_, after));
  CRM_CO_TRY(const auto others, co_await book_.Read(call));
  CRM_CO_TRY(const absl::Time now, co_await DueNow(db_, call));
  CRM_CO_TRY(automation::CheckSave(call, *others, after));
  CRM_CO_TRY(co_await automation::CheckCalls(effects_, call, &before, after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Rule> {
    batch.Update(rules_, before, after);
    automation::AddSave(batch, *others, &before, after, now);
    automation::EmitRule(batch, rules_, &before, after);
    return after;
  }));
  (co_await book_.Load(call.tenant())).IgnoreError();  // else the next refresh does
  co_return pg::Shown(call, rules_, std::move(stored));
}

}  // namespace crm::scheduler
