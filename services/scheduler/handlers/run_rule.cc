#include <absl/strings/str_cat.h>

#include "common/base/id.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/rule_preview.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// Begins a run for a record that the caller may read.
Async<v1::RuleRun> RuleService::RunRule(Call& call, const v1::RunRuleRequest& request) {
  CRM_CO_TRY(const v1::Rule rule, co_await db_.Get(call, rules_, request.id()));
  CRM_CO_TRY(const automation::ProgramPtr program, co_await book_.At(call, rule.id(), rule.version()));
  CRM_CO_TRY(automation::CheckRecord(*program, request.record_id()));
  CRM_CO_TRY(const auto record, co_await effects_.Fetch(call, *program->object(), request.record_id()));
  CRM_CO_TRY(const absl::Time now, co_await DueNow(db_, call));
  CRM_CO_TRY(const v1::RuleRun begun, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::RuleRun> {
    v1::RuleRun run;
    run.set_id(automation::AddRun(batch, *program,
                                  {.event_type = "manual",
                                   .record_id = request.record_id(),
                                   .key = absl::StrCat("manual ", call.idempotency_key),
                                   .owner_id = automation::TextField(*record, "owner_id"),
                                   .team_id = automation::TextField(*record, "team_id"),
                                   .due = now}));
    return run;
  }));
  co_return co_await pg::GetShown(db_, call, runs_, begun.id());
}

}  // namespace crm::scheduler
