// What events become in the timeline. Pure: from an event and its payload to an entry.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crm/contact/v1/activity.pb.h"
#include "crm/contact/v1/events.pb.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "crm/events/v1/event.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "crm/scheduler/v1/events.pb.h"

namespace crm::contact {

// How much of a text an entry shows.
inline constexpr size_t kSnippetMax = 300;

// An entry as one event leaves it. Entries of messages, tasks and notes have the same id after each of their events.
struct Entry {
  v1::Activity activity;
  bool first = true;  // the timeline has not had it before
};

// The kinds of record whose cards have a timeline; an entry hangs on the first of them that it names.
inline constexpr const char* kCardObjects[] = {"deal", "lead", "contact", "company"};
// The kinds of record that entries tell of.
inline constexpr const char* kEntryObjects[] = {"deal",    "lead", "contact",  "company",
                                                "message", "task", "reminder", "note"};

// The record that the entry hangs on, whose owner's entries it counts among; empty if it hangs nowhere.
std::string CardOf(const v1::Activity& activity);

// Whether the entry begins the card of a new contact or company and stands on no other card. Nobody can have that card
// open yet, and whoever follows all records hears of this one by its own event: the entry needs no event of its own.
bool BeginsItsCard(const v1::Activity& activity);

// Nothing for events that no card is to show.
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactCreated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactUpdated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactDeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactUndeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyCreated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyUpdated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyDeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyUndeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteCreated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteUpdated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteDeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteUndeleted& payload);

std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealCreated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealMoved& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealUpdated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealDeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealUndeleted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadCreated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadUpdated& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadAccepted& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadDeclined& payload);
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadLinked& payload);

// A letter or comment, and a task, whichever of their events it is.
std::optional<Entry> EntryOf(const events::v1::Event& event, const messaging::v1::Message& message);
std::optional<Entry> EntryOf(const events::v1::Event& event, const scheduler::v1::Task& task);
std::optional<Entry> EntryOf(const events::v1::Event& event, const scheduler::v1::ReminderFired& payload);

// Whether a task waits to be done.
bool IsOpen(const scheduler::v1::Task& task);

}  // namespace crm::contact
