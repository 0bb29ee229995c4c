// What the messaging service hears.
#pragma once

#include "common/events/consumer.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// The tenant and its users: templates name them, records follow their owners' teams.
void HearIdentity(events::Consumer& consumer);
// A lead that came by letter and was taken up: its conversation is about the deal from then on.
void HearDealPipeline(events::Consumer& consumer, Messaging& app);

}  // namespace crm::messaging
