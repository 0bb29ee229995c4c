#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rule_service.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

// Sets a failed run to work again, from the step that failed. What it did before is not done again.
Async<v1::RuleRun> RuleService::RetryRuleRun(Call& call, const v1::RetryRuleRunRequest& request) {
  CRM_CO_TRY(const v1::RuleRun before, co_await db_.Get(call, runs_, request.id(), type::v1::ACTION_UPDATE));
  if (before.status() != v1::RUN_STATUS_FAILED) {
    co_return StateError("only a failed run can be tried again", {{"status", v1::RunStatus_Name(before.status())}});
  }
  v1::RuleRun after = before;
  after.set_status(v1::RUN_STATUS_RUNNING);
  after.clear_error();
  after.clear_end_time();
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::RuleRun> {
    batch.Update(runs_, before, after);
    SetTimer(batch, {.kind = automation::kRunTimer, .subject = after.id(), .due = call.now()});
    return after;
  }));
  co_return pg::Shown(call, runs_, std::move(stored));
}

}  // namespace crm::scheduler
