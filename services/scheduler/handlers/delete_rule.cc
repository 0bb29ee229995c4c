#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/save_rule.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Deletes a rule: nothing sets it off any more. What has begun goes on.
Async<v1::Rule> RuleService::DeleteRule(Call& call, const v1::DeleteRuleRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, rules_, request.id(), request.etag()));
  CRM_CO_TRY(const auto others, co_await book_.Read(call));
  CRM_CO_TRY(const absl::Time now, co_await DueNow(db_, call));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Rule> {
    batch.Update(rules_, change.before, change.after);
    automation::AddSave(batch, *others, &change.before, change.after, now);
    automation::EmitRule(batch, rules_, &change.before, change.after);
    return change.after;
  }));
  (co_await book_.Load(call.tenant())).IgnoreError();  // else the next refresh does
  co_return pg::Shown(call, rules_, std::move(stored));
}

}  // namespace crm::scheduler
