// Whether a rule that somebody wants to save can be run at all: everything is checked against the descriptors.
#pragma once

#include <absl/status/status.h>

#include "common/base/call.h"
#include "crm/scheduler/v1/rule.pb.h"

namespace crm::scheduler::automation {

// INVALID_ARGUMENT that names every field that is wrong and what would be right, as paths below "rule"; PERMISSION_DENIED
// for a condition on personal fields that the caller may not see.
absl::Status CheckRule(const Call& call, const v1::Rule& rule);

}  // namespace crm::scheduler::automation
