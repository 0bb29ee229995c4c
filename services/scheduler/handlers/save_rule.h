// What creating, changing, deleting and restoring a rule have in common.
#pragma once

#include "common/base/async.h"
#include "services/scheduler/rule_service.h"

namespace crm::scheduler::automation {

// Rules of a tenant that work: each event is held against those that hear it, and each save against all of them.
inline constexpr int kRulesMax = 500;

// Whether what the rule does differs, so that it is another version.
bool SameWork(const v1::Rule& a, const v1::Rule& b);

// Checks a rule that is to be saved against the descriptors, and, if it will work, against the tenant's others: fills its
// warnings, refuses one that would set itself off without end.
absl::Status CheckSave(const Call& call, const RuleSet& others, v1::Rule& rule);

// NOT_FOUND for a rule that an action names and the tenant does not have.
Async<> CheckRuleIds(pg::Db& db, const Call& call, const pg::Table<v1::Rule>& rules, const v1::Rule& rule);

// What goes into every batch that saves a rule: the change of the set, guarded by the revision that `others` was read with,
// the version if it is new, and what a rule about time needs to begin with. `before` is null for a new rule; `now` is what decides what is due (DueNow).
void AddSave(pg::Batch& batch, const RuleSet& others, const v1::Rule* before, const v1::Rule& after, absl::Time now);

// The event of a saved rule: rule.created, rule.updated.
void EmitRule(pg::Batch& batch, const pg::RecordTable& table, const v1::Rule* before, const v1::Rule& after);

}  // namespace crm::scheduler::automation
