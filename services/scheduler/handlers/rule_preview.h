// What a rule would do, without doing it: for previews of one record and for dry runs.
#pragma once

#include "common/base/async.h"
#include "common/pg/table.h"
#include "services/scheduler/jobs/automation_book.h"
#include "services/scheduler/jobs/automation_effects.h"

namespace crm::scheduler::automation {

// The caller's call, as actions would see it: in the tenant's zone. What it fetches is read with the caller's own rights.
Call PreviewCall(const Call& call, const RuleSet* set, absl::Time time);

// INVALID_ARGUMENT unless the id is of the kind of record that the rule is about.
absl::Status CheckRecord(const Program& program, const std::string& record_id);

// Fills in the steps, branches taken as the record stands; after a wait the clock has moved on.
Async<> FillPreview(Effects& effects, Scene& scene, v1::RulePreview& preview);

// The rule that a request names or holds, checked and compiled.
Async<ProgramPtr> ProgramFor(pg::Db& db, const Call& call, const pg::Table<v1::Rule>& rules, std::string id,
                             bool has_rule, v1::Rule rule);

}  // namespace crm::scheduler::automation
