// Calls of other systems by webhooks: what is asked of them when a rule is saved. How they are made is Effects::PrepareCall.
#pragma once

#include "common/base/async.h"
#include "common/base/call.h"
#include "crm/scheduler/v1/rule.pb.h"
#include "services/scheduler/jobs/automation_effects.h"

namespace crm::scheduler::automation {

// A rule that is to be saved, already checked against the descriptors: INVALID_ARGUMENT for a body that is no JSON object, for a
// webhook that the tenant does not have (where the rule works, or `before` has not named it), and for variables that the
// webhook does not take. One that is off is a warning of the rule's. `before` may be null.
Async<> CheckCalls(Effects& effects, const Call& call, const v1::Rule* before, v1::Rule& rule);

}  // namespace crm::scheduler::automation
