#include "services/analytics/consumers/consumers.h"

namespace crm::analytics {

void HearIdentity(events::Consumer& consumer) { HearAll(IdentityPayloads(), consumer); }

}  // namespace crm::analytics
