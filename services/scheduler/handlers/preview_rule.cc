#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/handlers/rule_preview.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler {

// What the rule would do for this record now.
Async<v1::RulePreview> RuleService::PreviewRule(Call& call, const v1::PreviewRuleRequest& request) {
  CRM_CO_TRY(const automation::ProgramPtr program,
             co_await automation::ProgramFor(db_, call, rules_, request.id(), request.has_rule(), request.rule()));
  CRM_CO_TRY(automation::CheckRecord(*program, request.record_id()));
  CRM_CO_TRY(const absl::Time now, co_await DueNow(db_, call));
  automation::Scene scene;
  scene.call = automation::PreviewCall(call, book_.Of(call.tenant()).get(), now);
  scene.program = program.get();
  CRM_CO_TRY(const auto record, co_await effects_.Fetch(scene.call, *program->object(), request.record_id()));
  scene.record = record.get();
  v1::RulePreview preview;
  preview.set_record_id(request.record_id());
  *preview.mutable_time() = ToTimestamp(now);
  CRM_CO_TRY(const bool holds, program->Holds(scene.call, program->condition(), *record, nullptr));
  preview.set_matches(holds);
  CRM_CO_TRY(co_await automation::FillPreview(effects_, scene, preview));
  co_return preview;
}

}  // namespace crm::scheduler
