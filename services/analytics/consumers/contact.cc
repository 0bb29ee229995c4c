#include "services/analytics/consumers/consumers.h"

namespace crm::analytics {

void HearContact(events::Consumer& consumer) { HearAll(ContactPayloads(), consumer); }

}  // namespace crm::analytics
