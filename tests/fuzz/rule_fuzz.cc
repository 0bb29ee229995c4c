// covers: services/scheduler/rules/automation_program.cc#ObjectOf,Compile,Emit,Find,NeighboursIn,TargetOf services/scheduler/rules/automation_check.cc
// Whole rules as JSON: what passes every check is laid out in steps that only lead forwards.
#include "common/json/json.h"
#include "services/scheduler/rules/automation_check.h"
#include "services/scheduler/rules/automation_program.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(rule) {
  using namespace crm;
  namespace automation = scheduler::automation;
  static const Call call = [] {
    Call made;
    made.start = absl::FromUnixSeconds(1795424400);
    made.principal.kind = Principal::Kind::kService;
    return made;
  }();
  scheduler::v1::Rule rule;
  if (const absl::Status read = json::Read(input.Rest(), rule); !read.ok()) return;
  const absl::Status checked = automation::CheckRule(call, rule);
  if (!checked.ok()) fuzz::RequireRefusal(checked);
  const auto program = automation::Program::Compile(rule);
  if (!program.ok()) return fuzz::RequireRefusal(program.status());
  const auto& steps = (*program)->steps();
  fuzz::Require(steps.size() <= automation::kStepsMax, "a rule has its limit");
  for (size_t i = 0; i < steps.size(); ++i) {
    fuzz::Require((*program)->Find(steps[i].path) == static_cast<int>(i), "a step is found by its path", steps[i].path);
    for (const int next : {steps[i].next, steps[i].then, steps[i].otherwise}) {
      fuzz::Require(next == -1 || (next >= 0 && next < static_cast<int>(steps.size()) && next != static_cast<int>(i)),
                    "a step leads to another", steps[i].path);
    }
  }
}
