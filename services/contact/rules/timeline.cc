#include "services/contact/rules/timeline.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::contact {
namespace timeline {

using deal_pipeline::v1::Deal;
using deal_pipeline::v1::Lead;

std::string Snippet(const std::string& text) { return Truncated(Squeezed(text), kSnippetMax); }

v1::Activity Begun(const events::v1::Event& event, v1::ActivityKind kind) {
  v1::Activity activity;
  activity.set_kind(kind);
  activity.set_etag("1");
  activity.set_object(event.record_id().substr(0, event.record_id().rfind('_')));
  activity.set_record_id(event.record_id());
  *activity.mutable_time() = event.time();
  *activity.mutable_update_time() = event.time();
  activity.set_author_id(event.actor_id());
  activity.set_rule_id(event.cause().rule_id());
  activity.set_source(event.service());
  activity.set_source_seq(static_cast<uint32_t>(event.seq()));
  return activity;
}

// An entry of this event alone.
v1::Activity OfEvent(const events::v1::Event& event, v1::ActivityKind kind) {
  v1::Activity activity = Begun(event, kind);
  activity.set_id(DerivedId("activity", event.record_id(), absl::StrCat(event.service(), ":", event.seq()),
                            FromTimestamp(event.time())));
  return activity;
}

// The entry that the record keeps through all its events.
v1::Activity OfRecord(const events::v1::Event& event, v1::ActivityKind kind) {
  v1::Activity activity = Begun(event, kind);
  activity.set_id(DerivedId("activity", event.record_id(), "timeline"));
  return activity;
}

bool Changed(const events::v1::Event& event, absl::string_view field) {
  return std::find(event.changed_fields().begin(), event.changed_fields().end(), field) != event.changed_fields().end();
}

// An update: handed over, or other fields changed. The team follows the owner and is not told apart.
template <typename Record>
std::optional<v1::Activity> OfUpdate(const events::v1::Event& event, const Record& record) {
  if (event.changed_fields().empty()) return std::nullopt;
  const bool handed_over = Changed(event, "owner_id");
  v1::Activity activity = OfEvent(event, handed_over ? v1::ACTIVITY_KIND_HANDED_OVER : v1::ACTIVITY_KIND_CHANGED);
  for (const auto& field : event.changed_fields()) {
    if (field != "team_id") activity.add_changed_fields(field);
  }
  if (activity.changed_fields().empty()) return std::nullopt;
  if (handed_over) activity.set_to_owner_id(record.owner_id());
  return activity;
}

Entry OfContact(v1::Activity activity, const v1::Contact& contact) {
  activity.set_title(contact.display_name());
  activity.set_contact_id(contact.id());
  activity.set_company_id(contact.company_id());
  return {std::move(activity)};
}

Entry OfCompany(v1::Activity activity, const v1::Company& company) {
  activity.set_title(company.name());
  activity.set_company_id(company.id());
  return {std::move(activity)};
}

Entry OfDeal(v1::Activity activity, const Deal& deal) {
  activity.set_title(deal.title());
  activity.set_deal_id(deal.id());
  activity.set_lead_id(deal.lead_id());
  activity.set_contact_id(deal.contact_id());
  activity.set_company_id(deal.company_id());
  if (deal.has_amount()) *activity.mutable_amount() = deal.amount();
  return {std::move(activity)};
}

Entry OfLead(v1::Activity activity, const Lead& lead) {
  activity.set_title(lead.title());
  activity.set_lead_id(lead.id());
  activity.set_deal_id(lead.deal_id());
  activity.set_contact_id(lead.contact_id());
  return {std::move(activity)};
}

Entry OfNote(const events::v1::Event& event, const v1::Note& note, bool first) {
  v1::Activity activity = OfRecord(event, v1::ACTIVITY_KIND_NOTE);
  activity.set_author_id(note.author_id());
  *activity.mutable_time() = note.create_time();
  activity.set_contact_id(note.contact_id());
  activity.set_company_id(note.company_id());
  activity.set_deal_id(note.deal_id());
  activity.set_lead_id(note.lead_id());
  if (note.has_delete_time()) {
    activity.set_state(v1::ACTIVITY_STATE_DELETED);
  } else {
    activity.set_snippet(Snippet(note.text()));
    activity.set_pinned(note.pinned());
  }
  return {std::move(activity), first};
}

v1::ActivityState StateOf(messaging::v1::MessageStatus status) {
  switch (status) {
    case messaging::v1::MESSAGE_STATUS_QUEUED:
    case messaging::v1::MESSAGE_STATUS_SENDING:
      return v1::ACTIVITY_STATE_QUEUED;
    case messaging::v1::MESSAGE_STATUS_SENT:
      return v1::ACTIVITY_STATE_SENT;
    case messaging::v1::MESSAGE_STATUS_DELIVERED:
      return v1::ACTIVITY_STATE_DELIVERED;
    case messaging::v1::MESSAGE_STATUS_BOUNCED:
      return v1::ACTIVITY_STATE_BOUNCED;
    case messaging::v1::MESSAGE_STATUS_FAILED:
    case messaging::v1::MESSAGE_STATUS_BLOCKED:
      return v1::ACTIVITY_STATE_FAILED;
    case messaging::v1::MESSAGE_STATUS_UNKNOWN:
      return v1::ACTIVITY_STATE_UNKNOWN;
    case messaging::v1::MESSAGE_STATUS_RECEIVED:
      return v1::ACTIVITY_STATE_RECEIVED;
    case messaging::v1::MESSAGE_STATUS_CANCELLED:
      return v1::ACTIVITY_STATE_CANCELLED;
    default:
      return v1::ACTIVITY_STATE_UNSPECIFIED;
  }
}

v1::ActivityState StateOf(const scheduler::v1::Task& task) {
  if (task.has_delete_time()) return v1::ACTIVITY_STATE_DELETED;
  switch (task.status()) {
    case scheduler::v1::TASK_STATUS_DONE:
      return v1::ACTIVITY_STATE_DONE;
    case scheduler::v1::TASK_STATUS_CANCELLED:
      return v1::ACTIVITY_STATE_CANCELLED;
    default:
      break;
  }
  if (task.has_overdue_since()) return v1::ACTIVITY_STATE_OVERDUE;
  return task.status() == scheduler::v1::TASK_STATUS_IN_PROGRESS ? v1::ACTIVITY_STATE_IN_PROGRESS
                                                                 : v1::ACTIVITY_STATE_OPEN;
}

}  // namespace timeline

std::string CardOf(const v1::Activity& activity) {
  for (const std::string* id :
       {&activity.deal_id(), &activity.lead_id(), &activity.contact_id(), &activity.company_id()}) {
    if (!id->empty()) return *id;
  }
  return "";
}

bool BeginsItsCard(const v1::Activity& activity) {
  if (activity.kind() != v1::ACTIVITY_KIND_CREATED || CardOf(activity) != activity.record_id()) return false;
  return activity.record_id() == activity.company_id() ||
         (activity.record_id() == activity.contact_id() && activity.company_id().empty());
}

bool IsOpen(const scheduler::v1::Task& task) {
  return !task.has_delete_time() && task.status() != scheduler::v1::TASK_STATUS_DONE &&
         task.status() != scheduler::v1::TASK_STATUS_CANCELLED;
}

// ---- contacts and companies ----

std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactCreated& payload) {
  return timeline::OfContact(timeline::OfEvent(event, v1::ACTIVITY_KIND_CREATED), payload.contact());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactUpdated& payload) {
  auto activity = timeline::OfUpdate(event, payload.contact());
  if (!activity) return std::nullopt;
  return timeline::OfContact(*std::move(activity), payload.contact());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactDeleted& payload) {
  return timeline::OfContact(timeline::OfEvent(event, v1::ACTIVITY_KIND_DELETED), payload.contact());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::ContactUndeleted& payload) {
  return timeline::OfContact(timeline::OfEvent(event, v1::ACTIVITY_KIND_RESTORED), payload.contact());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyCreated& payload) {
  return timeline::OfCompany(timeline::OfEvent(event, v1::ACTIVITY_KIND_CREATED), payload.company());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyUpdated& payload) {
  auto activity = timeline::OfUpdate(event, payload.company());
  if (!activity) return std::nullopt;
  return timeline::OfCompany(*std::move(activity), payload.company());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyDeleted& payload) {
  return timeline::OfCompany(timeline::OfEvent(event, v1::ACTIVITY_KIND_DELETED), payload.company());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::CompanyUndeleted& payload) {
  return timeline::OfCompany(timeline::OfEvent(event, v1::ACTIVITY_KIND_RESTORED), payload.company());
}

// ---- notes ----

std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteCreated& payload) {
  return timeline::OfNote(event, payload.note(), true);
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteUpdated& payload) {
  return timeline::OfNote(event, payload.note(), false);
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteDeleted& payload) {
  return timeline::OfNote(event, payload.note(), false);
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const v1::NoteUndeleted& payload) {
  return timeline::OfNote(event, payload.note(), false);
}

// ---- deals and leads ----

std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealCreated& payload) {
  v1::Activity activity = timeline::OfEvent(event, v1::ACTIVITY_KIND_CREATED);
  // An imported deal stands where it began.
  if (payload.imported()) *activity.mutable_time() = payload.deal().open_time();
  activity.set_to_stage_id(payload.deal().stage_id());
  return timeline::OfDeal(std::move(activity), payload.deal());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealMoved& payload) {
  v1::ActivityKind kind = v1::ACTIVITY_KIND_MOVED;
  if (payload.deal().status() == deal_pipeline::v1::DEAL_STATUS_WON) kind = v1::ACTIVITY_KIND_WON;
  if (payload.deal().status() == deal_pipeline::v1::DEAL_STATUS_LOST) kind = v1::ACTIVITY_KIND_LOST;
  v1::Activity activity = timeline::OfEvent(event, kind);
  activity.set_from_stage_id(payload.from_stage_id());
  activity.set_to_stage_id(payload.deal().stage_id());
  if (kind == v1::ACTIVITY_KIND_LOST) activity.set_snippet(timeline::Snippet(payload.deal().lost_reason()));
  return timeline::OfDeal(std::move(activity), payload.deal());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealUpdated& payload) {
  auto activity = timeline::OfUpdate(event, payload.deal());
  if (!activity) return std::nullopt;
  return timeline::OfDeal(*std::move(activity), payload.deal());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealDeleted& payload) {
  return timeline::OfDeal(timeline::OfEvent(event, v1::ACTIVITY_KIND_DELETED), payload.deal());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::DealUndeleted& payload) {
  return timeline::OfDeal(timeline::OfEvent(event, v1::ACTIVITY_KIND_RESTORED), payload.deal());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadCreated& payload) {
  v1::Activity activity = timeline::OfEvent(event, v1::ACTIVITY_KIND_CREATED);
  activity.set_direction(v1::ACTIVITY_DIRECTION_INBOUND);
  activity.set_snippet(timeline::Snippet(payload.lead().message()));
  return timeline::OfLead(std::move(activity), payload.lead());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadUpdated& payload) {
  auto activity = timeline::OfUpdate(event, payload.lead());
  if (!activity) return std::nullopt;
  return timeline::OfLead(*std::move(activity), payload.lead());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadAccepted& payload) {
  return timeline::OfLead(timeline::OfEvent(event, v1::ACTIVITY_KIND_LEAD_ACCEPTED), payload.lead());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadDeclined& payload) {
  v1::Activity activity = timeline::OfEvent(event, v1::ACTIVITY_KIND_LEAD_DECLINED);
  activity.set_snippet(timeline::Snippet(payload.lead().decline_reason()));
  return timeline::OfLead(std::move(activity), payload.lead());
}
std::optional<Entry> EntryOf(const events::v1::Event& event, const deal_pipeline::v1::LeadLinked& payload) {
  return timeline::OfLead(timeline::OfEvent(event, v1::ACTIVITY_KIND_LEAD_LINKED), payload.lead());
}

// ---- messages and tasks ----

std::optional<Entry> EntryOf(const events::v1::Event& event, const messaging::v1::Message& message) {
  const bool comment = message.kind() == messaging::v1::MESSAGE_KIND_COMMENT;
  v1::Activity activity = timeline::OfRecord(event, comment ? v1::ACTIVITY_KIND_COMMENT : v1::ACTIVITY_KIND_MESSAGE);
  *activity.mutable_time() = message.create_time();
  activity.set_author_id(message.author_id());
  activity.set_contact_id(message.contact_id());
  activity.set_company_id(message.company_id());
  activity.set_deal_id(message.deal_id());
  activity.set_conversation_id(message.conversation_id());
  activity.set_title(message.subject());
  activity.set_snippet(timeline::Snippet(message.preview().empty() ? message.text() : message.preview()));
  activity.set_state(timeline::StateOf(message.status()));
  if (message.direction() == messaging::v1::MESSAGE_DIRECTION_INBOUND) {
    activity.set_direction(v1::ACTIVITY_DIRECTION_INBOUND);
  } else if (message.direction() == messaging::v1::MESSAGE_DIRECTION_OUTBOUND) {
    activity.set_direction(v1::ACTIVITY_DIRECTION_OUTBOUND);
  }
  return Entry{std::move(activity), absl::EndsWith(event.type(), ".queued") ||
                                        absl::EndsWith(event.type(), ".received") ||
                                        absl::EndsWith(event.type(), ".commented")};
}

std::optional<Entry> EntryOf(const events::v1::Event& event, const scheduler::v1::Task& task) {
  v1::Activity activity = timeline::OfRecord(event, v1::ACTIVITY_KIND_TASK);
  *activity.mutable_time() = task.create_time();
  activity.set_author_id(task.creator_id());
  activity.set_rule_id(task.rule_id());
  activity.set_contact_id(task.contact_id());
  activity.set_company_id(task.company_id());
  activity.set_deal_id(task.deal_id());
  activity.set_lead_id(task.lead_id());
  activity.set_conversation_id(task.conversation_id());
  activity.set_state(timeline::StateOf(task));
  if (!task.has_delete_time()) {
    activity.set_title(task.title());
    activity.set_to_owner_id(task.owner_id());
    if (task.has_due_time()) *activity.mutable_due_time() = task.due_time();
    const std::string& text = !task.result().empty() ? task.result() : task.cancel_reason();
    activity.set_snippet(timeline::Snippet(text.empty() ? task.description() : text));
  }
  return Entry{std::move(activity), absl::EndsWith(event.type(), ".created")};
}

std::optional<Entry> EntryOf(const events::v1::Event& event, const scheduler::v1::ReminderFired& payload) {
  const auto& reminder = payload.reminder();
  v1::Activity activity = timeline::OfEvent(event, v1::ACTIVITY_KIND_REMINDER);
  activity.set_author_id(reminder.creator_id());
  activity.set_rule_id(reminder.rule_id());
  activity.set_contact_id(reminder.contact_id());
  activity.set_company_id(reminder.company_id());
  activity.set_deal_id(reminder.deal_id());
  activity.set_lead_id(reminder.lead_id());
  activity.set_conversation_id(reminder.conversation_id());
  activity.set_title(reminder.text());
  activity.set_to_owner_id(reminder.recipient_id());
  return Entry{std::move(activity)};
}

}  // namespace crm::contact
