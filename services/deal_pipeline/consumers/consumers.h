// What the deal service hears of others.
#pragma once

#include "common/events/consumer.h"
#include "common/pg/db.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Tenants and users: settings, the package's pipeline, who belongs to which team.
void HearIdentity(events::Consumer& consumer, const Tables& tables, pg::Db& db);

// For what boards, cards and lists show beside a deal: its next task, unread letters, the last touch.
void HearScheduler(events::Consumer& consumer);
void HearMessaging(events::Consumer& consumer);

}  // namespace crm::deal_pipeline
