#include <absl/time/time.h>

#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/rule_service.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

// Lists the rules that somebody should look at, and why.
Async<v1::AuditRulesResponse> RuleService::AuditRules(Call& call, const v1::AuditRulesRequest& request) {
  constexpr int kIdleDaysDefault = 30, kItemsMax = 500;
  const int days = request.idle_days() == 0 ? kIdleDaysDefault : request.idle_days();
  const absl::Time since = call.now() - absl::Hours(24 * days);
  CRM_CO_TRY(const pg::Rows rows, co_await db_.Read(call, sql::kRuleAudit, pg::Params().Time(since), pg::Work::kList));
  const bool runs = call.ScopeOf("rule_run", type::v1::ACTION_READ) == type::v1::SCOPE_ALL;
  v1::AuditRulesResponse response;
  for (int i = 0; i < rows.size() && response.items_size() < kItemsMax; ++i) {
    v1::AuditRulesResponse::Item item;
    item.set_rule_id(TypeId("rule", rows.Id(i, 0)));
    item.set_name(std::string(rows.Text(i, 1)));
    const bool ran = runs && !rows.IsNull(i, 7), enabled = runs && rows.Bool(i, 5);
    if (ran) *item.mutable_last_run_time() = ToTimestamp(rows.Time(i, 7));
    if (runs) item.set_run_count(static_cast<int32_t>(rows.Int(i, 8)));
    if (runs) item.set_failed_count(static_cast<int32_t>(rows.Int(i, 9)));
    if (rows.IsNull(i, 3) || !rows.Bool(i, 4)) item.add_findings(v1::AuditRulesResponse::FINDING_OWNERLESS);
    if (rows.Text(i, 2).empty()) item.add_findings(v1::AuditRulesResponse::FINDING_UNCATEGORISED);
    // One that is switched off is not expected to run.
    if (enabled && !ran) item.add_findings(v1::AuditRulesResponse::FINDING_NEVER_RAN);
    if (enabled && ran && rows.Time(i, 7) < since) item.add_findings(v1::AuditRulesResponse::FINDING_IDLE);
    if (ran && rows.Bool(i, 10)) item.add_findings(v1::AuditRulesResponse::FINDING_FAILING);
    if (item.findings_size() > 0) *response.add_items() = std::move(item);
  }
  co_return response;
}

}  // namespace crm::scheduler
