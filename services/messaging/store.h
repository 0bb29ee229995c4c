// How conversations and messages are written: the rows with their events and their place in the queue, always together.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/messaging/rules/value.h"
#include "services/messaging/service.h"

namespace crm::messaging {

inline Uuid UuidOf(const std::string& id) { return id.empty() ? Uuid{} : ParseId(id)->uuid; }
// A reference as a parameter: NULL for none.
pg::Params& AddRef(pg::Params& params, const std::string& id);

// A template's or channel's change with its event; `Event` is one of events.proto with the record as its first field.
template <typename Event, typename M>
void EmitRecord(pg::Batch& batch, const pg::Table<M>& table, const std::string& what, const M& record,
                std::vector<std::string> changed = {}) {
  Event event;
  const auto* field = Event::descriptor()->field(0);
  event.GetReflection()->MutableMessage(&event, field)->CopyFrom(record);
  pg::NewEvent about = pg::EventOf(table, what, record);
  about.changed_fields = std::move(changed);
  batch.Emit(about, event);
}

// A message as events show it: without HTML, its text cut at 8 KiB.
v1::Message ForEvent(v1::Message message);
// A message's event by its status: message.sent for SENT, message.failed for FAILED, BLOCKED and UNKNOWN ...
void EmitMessage(pg::Batch& batch, const Tables& tables, const v1::Message& message);

// A changed conversation; said to others if anything but its letters' traces changed. Its messages follow owner and
// links.
void ChangeConversation(pg::Batch& batch, const Tables& tables, const v1::Conversation& before,
                        const v1::Conversation& after, type::v1::Action action = type::v1::ACTION_UPDATE);

// The traces that a letter leaves on its conversation: counts, times, preview, participants. Pure but for the record.
void LeaveTraces(v1::Conversation& conversation, const v1::Message& message, const std::string& own_address);

// Queues a letter: to these addresses, not before that moment (absl::InfinitePast(): at once), by the database's clock.
void AddSend(pg::Batch& batch, const v1::Message& message, const std::vector<std::string>& recipients,
             absl::Time not_before);

// Where a letter goes: the addresses of To and Cc, each once.
std::vector<std::string> AddressesOf(const v1::Message& message);

// The channel of this id, or the tenant's default one when it is empty; `field` names it in errors. Only enabled ones.
Async<v1::Channel> ChannelFor(Messaging& app, const Call& call, std::string id, std::string field);

// Which of these addresses nothing may be sent to, and why.
Async<std::map<std::string, std::string>> Suppressed(Messaging& app, const Call& call,
                                                     std::vector<std::string> addresses);

// Fills unread_count for the caller.
Async<> FillUnread(Messaging& app, const Call& call, std::vector<v1::Conversation*> conversations);

// A channel as the caller may see it: how it is connected is for administrators.
v1::Channel ShownChannel(const Call& call, const Tables& tables, v1::Channel channel);

// What is known of those whom a letter concerns, under the caller's rights.
struct Subject {
  contact::v1::Contact contact;  // without id: none
  std::string contact_address;   // unmasked: where to write to
  deal_pipeline::v1::Deal deal;  // without id: none
};
// Loads contact and deal; a deal without a contact named brings its own. NOT_FOUND for what the caller may not see.
Async<Subject> LoadSubject(Messaging& app, const Call& call, std::string contact_id, std::string deal_id);
// The values that a template may name, as far as `roots` ask for them.
Async<Value> LoadValues(Messaging& app, const Call& call, const Subject& subject, std::string company_id,
                        std::string sender_id, std::set<std::string> roots);
// The tenant's time zone, or the caller's own if it is a user's call.
Async<std::string> ZoneFor(Messaging& app, const Call& call);

}  // namespace crm::messaging
