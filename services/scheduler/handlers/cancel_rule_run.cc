#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rule_service.h"
#include "services/scheduler/sql.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler {

// Ends a run that works or waits.
Async<v1::RuleRun> RuleService::CancelRuleRun(Call& call, const v1::CancelRuleRunRequest& request) {
  CRM_CO_TRY(const v1::RuleRun before, co_await db_.Get(call, runs_, request.id(), type::v1::ACTION_UPDATE));
  if (before.status() != v1::RUN_STATUS_RUNNING && before.status() != v1::RUN_STATUS_WAITING) {
    co_return StateError("the run has ended already", {{"status", v1::RunStatus_Name(before.status())}});
  }
  v1::RuleRun after = before;
  after.set_status(v1::RUN_STATUS_CANCELLED);
  after.clear_wake_time();
  *after.mutable_end_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::RuleRun> {
    batch.Update(runs_, before, after);
    CancelTimer(batch, automation::kRunTimer, after.id());
    batch.Add(sql::kRuleDeleteRunEvent, pg::Params().Id(call.tenant()).Id(ParseId(after.id())->uuid));
    return after;
  }));
  co_return pg::Shown(call, runs_, std::move(stored));
}

}  // namespace crm::scheduler
