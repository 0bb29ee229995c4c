#include "services/analytics/consumers/consumers.h"

namespace crm::analytics {

void HearMessaging(events::Consumer& consumer) { HearAll(MessagingPayloads(), consumer); }

}  // namespace crm::analytics
