#include "services/analytics/consumers/consumers.h"

namespace crm::analytics {

void HearScheduler(events::Consumer& consumer) { HearAll(SchedulerPayloads(), consumer); }

}  // namespace crm::analytics
