// What is heard of whom: see the lists of payloads in rules/projection.h, which says what each of them does.
#pragma once

#include "common/base/status.h"
#include "common/events/consumer.h"
#include "common/pg/db.h"
#include "services/analytics/rules/projection.h"
#include "services/analytics/store.h"

namespace crm::analytics {

void HearContact(events::Consumer& consumer);
void HearDealPipeline(events::Consumer& consumer, pg::Db& db);
void HearIdentity(events::Consumer& consumer);
void HearMessaging(events::Consumer& consumer);
void HearScheduler(events::Consumer& consumer);

// Events whose effect follows from themselves.
template <typename... Payloads>
void HearAll(PayloadList<Payloads...>, events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    CRM_CO_TRY(Changes changes, Project(heard.event, payload, nullptr));
    AddChanges(batch, changes);
    co_return absl::OkStatus();
  }),
   ...);
}

}  // namespace crm::analytics
