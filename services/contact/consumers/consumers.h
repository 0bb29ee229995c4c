// What is heard of whom. rules/timeline.h says what events become in the timeline; store.h and sql/ how it is kept.
#pragma once

#include <string>

#include "common/base/status.h"
#include "common/events/consumer.h"
#include "common/pg/db.h"
#include "services/contact/rules/timeline.h"

namespace crm::contact {

void HearIdentity(events::Consumer& consumer);
// The service's own events, for the timeline alone.
void HearContact(events::Consumer& consumer, pg::Db& db);
void HearDealPipeline(events::Consumer& consumer);
void HearMessaging(events::Consumer& consumer, pg::Db& db);
void HearScheduler(events::Consumer& consumer, pg::Db& db);

// Whose the record is that an entry hangs on.
struct Card {
  std::string owner_id;
  std::string team_id;
};

// Looks it up, and fills in what of the entry follows from it: the contact and company of its deal. An unknown card
// has no owner.
Async<Card> FindCard(pg::Db& db, const Call& call, v1::Activity& activity);

// Writes the entry and tells live screens.
absl::Status PutEntry(pg::Batch& batch, const Entry& entry, const Card& card);

// An entry of an event whose record is its own card.
template <typename Payload, typename Record>
absl::Status PutOwnEntry(pg::Batch& batch, const events::v1::Event& event, const Payload& payload,
                         const Record& record) {
  auto entry = EntryOf(event, payload);
  if (!entry) return absl::OkStatus();
  return PutEntry(batch, *entry, {record.owner_id(), record.team_id()});
}

// A TypeID as a parameter, NULL when it is empty.
absl::Status AddId(pg::Params& params, const std::string& id, const char* prefix);

}  // namespace crm::contact
