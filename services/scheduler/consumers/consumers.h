// What the scheduler hears of others.
#pragma once

#include "common/events/consumer.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Tenants, people and teams: zones, languages, heads, who has left.
void HearIdentity(events::Consumer& consumer);
// Deals that move or end, and leads: reminders that they call off, and who is told of what was given to them.
void HearDeals(events::Consumer& consumer, App& app);
// Contacts and companies that are deleted: their reminders are called off.
void HearContacts(events::Consumer& consumer, App& app);
// Customers who write: reminders that wait for that are called off.
void HearMessages(events::Consumer& consumer, App& app);

}  // namespace crm::scheduler
