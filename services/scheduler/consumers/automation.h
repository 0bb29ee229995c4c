// What rules hear: every event of every service, this one's own among them.
#pragma once

#include <string>

#include "common/events/consumer.h"
#include "services/scheduler/jobs/automation_book.h"

namespace crm::scheduler::automation {

// Begins the runs that a producer's events set off, in the batch that moves the position: once each. The book outlives the
// consumer.
void HearForRules(events::Consumer& consumer, const std::string& producer, const RuleBook& book);

// The tenant's zone, which days in conditions are counted in, may change: rules are then loaded anew.
void HearIdentityForRules(events::Consumer& consumer, RuleBook& book);

}  // namespace crm::scheduler::automation
