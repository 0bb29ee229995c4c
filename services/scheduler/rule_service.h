// The rules' part of the scheduler service's table of contents: one line per rpc; each has its file in handlers/.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/pg/db.h"
#include "common/pg/table.h"
#include "common/rpc/service.h"
#include "crm/scheduler/v1/rule.pb.h"
#include "services/scheduler/jobs/automation_book.h"
#include "services/scheduler/jobs/automation_effects.h"

namespace crm::events {
class Source;
}

namespace crm::scheduler {

// The rules' record tables, compiled once.
struct RuleTables {
  pg::Table<v1::Rule> rules{"scheduler"};
  pg::Table<v1::RuleRun> runs{"scheduler"};
};

class RuleService final : public rpc::Service {
 public:
  // The event logs of the services that rules hear, by name: for dry runs.
  using Logs = std::map<std::string, std::unique_ptr<events::Source>>;

  // All outlive it.
  RuleService(pg::Db& db, const RuleTables& tables, automation::RuleBook& book, automation::Effects& effects,
              const Logs& logs)
      : rpc::Service("crm.scheduler.v1.RuleService"),
        db_(db),
        rules_(tables.rules),
        runs_(tables.runs),
        book_(book),
        effects_(effects),
        logs_(logs) {}

  CRM_RPC(CreateRule, v1::CreateRuleRequest, v1::Rule)
  CRM_RPC(GetRule, v1::GetRuleRequest, v1::Rule)
  CRM_RPC(ListRules, v1::ListRulesRequest, v1::ListRulesResponse)
  CRM_RPC(UpdateRule, v1::UpdateRuleRequest, v1::Rule)
  CRM_RPC(DeleteRule, v1::DeleteRuleRequest, v1::Rule)
  CRM_RPC(UndeleteRule, v1::UndeleteRuleRequest, v1::Rule)
  CRM_RPC(ListRuleRevisions, v1::ListRuleRevisionsRequest, v1::ListRuleRevisionsResponse)
  CRM_RPC(DryRunRule, v1::DryRunRuleRequest, v1::DryRunRuleResponse)
  CRM_RPC(PreviewRule, v1::PreviewRuleRequest, v1::RulePreview)
  CRM_RPC(RunRule, v1::RunRuleRequest, v1::RuleRun)
  CRM_RPC(GetRuleCatalogue, v1::GetRuleCatalogueRequest, v1::RuleCatalogue)
  CRM_RPC(AuditRules, v1::AuditRulesRequest, v1::AuditRulesResponse)
  CRM_RPC(GetRuleRun, v1::GetRuleRunRequest, v1::RuleRun)
  CRM_RPC(ListRuleRuns, v1::ListRuleRunsRequest, v1::ListRuleRunsResponse)
  CRM_RPC(RetryRuleRun, v1::RetryRuleRunRequest, v1::RuleRun)
  CRM_RPC(CancelRuleRun, v1::CancelRuleRunRequest, v1::RuleRun)

 private:
  pg::Db& db_;
  const pg::Table<v1::Rule>& rules_;
  const pg::Table<v1::RuleRun>& runs_;
  automation::RuleBook& book_;
  automation::Effects& effects_;
  const Logs& logs_;
};

}  // namespace crm::scheduler
