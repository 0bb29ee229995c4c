#include "common/base/time.h"
#include "crm/type/v1/touch.pb.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/sql.h"

namespace crm::contact {
namespace {

namespace ms = messaging::v1;

// Everything in the conversation up to then has been read or answered.
absl::Status PutRead(pg::Batch& batch, const std::string& conversation_id, const std::string& contact_id,
                     absl::Time time) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid conversation, ParseId(conversation_id, "conversation", "conversation_id"));
  batch.Add(sql::kLockCard, pg::Params().Id(conversation));
  batch.Add(sql::kPutConversationMark, pg::Params().Id(tenant).Id(conversation).Time(time));
  pg::Params left;
  left.Id(tenant).Id(conversation);
  CRM_TRY(AddId(left, contact_id, "contact"));
  batch.Add(sql::kRefreshUnread, std::move(left));
  return absl::OkStatus();
}

absl::Status PutReceived(pg::Batch& batch, const ms::Message& message, const std::string& contact_id) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid id, ParseId(message.id(), "message", "message.id"));
  CRM_TRY(Uuid conversation, ParseId(message.conversation_id(), "conversation", "message.conversation_id"));
  pg::Params unread, left;
  unread.Id(tenant).Id(id).Id(conversation);
  CRM_TRY(AddId(unread, contact_id, "contact"));
  unread.Time(FromTimestamp(message.create_time()));
  batch.Add(sql::kPutUnreadMessage, std::move(unread));
  left.Id(tenant).Id(conversation);
  CRM_TRY(AddId(left, contact_id, "contact"));
  batch.Add(sql::kRefreshUnread, std::move(left));
  return absl::OkStatus();
}

absl::Status Touch(pg::Batch& batch, const std::string& contact_id, absl::Time time,
                   type::v1::TouchDirection direction) {
  if (contact_id.empty()) return absl::OkStatus();
  CRM_TRY(Uuid contact, ParseId(contact_id, "contact", "message.contact_id"));
  batch.Add(
      sql::kTouchContact,
      pg::Params().Id(batch.call().tenant()).Id(contact).Time(time).Int(type::v1::TOUCH_KIND_EMAIL).Int(direction));
  return absl::OkStatus();
}

template <typename... Payloads>
void HearMessages(events::Consumer& consumer, pg::Db& db) {
  (consumer.On<Payloads>([&db](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    const ms::Message& message = payload.message();
    auto entry = EntryOf(heard.event, message);
    CRM_CO_TRY(const Card card, co_await FindCard(db, heard.call, entry->activity));
    CRM_CO_TRY(PutEntry(batch, *entry, card));
    const std::string& contact_id = entry->activity.contact_id();
    switch (message.status()) {
      case ms::MESSAGE_STATUS_RECEIVED:
        CRM_CO_TRY(PutReceived(batch, message, contact_id));
        co_return Touch(batch, contact_id, FromTimestamp(message.create_time()), type::v1::TOUCH_DIRECTION_INBOUND);
      case ms::MESSAGE_STATUS_SENT:
      case ms::MESSAGE_STATUS_DELIVERED:
        CRM_CO_TRY(PutRead(batch, message.conversation_id(), contact_id, FromTimestamp(message.create_time())));
        co_return Touch(batch, contact_id, FromTimestamp(message.send_time()), type::v1::TOUCH_DIRECTION_OUTBOUND);
      default:
        co_return absl::OkStatus();
    }
  }),
   ...);
}

template <typename... Payloads>
void HearConversations(events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard&, const Payloads& payload, pg::Batch& batch) -> Async<> {
    const ms::Conversation& conversation = payload.conversation();
    const Uuid& tenant = batch.call().tenant();
    CRM_CO_TRY(Uuid id, ParseId(conversation.id(), "conversation", "conversation.id"));
    pg::Params links;
    links.Id(tenant).Id(id);
    CRM_CO_TRY(AddId(links, conversation.contact_id(), "contact"));
    CRM_CO_TRY(AddId(links, conversation.company_id(), "company"));
    CRM_CO_TRY(AddId(links, conversation.deal_id(), "deal"));
    batch.Add(sql::kLinkConversationEntries, std::move(links));
    if (!conversation.contact_id().empty()) {
      CRM_CO_TRY(Uuid contact, ParseId(conversation.contact_id(), "contact", "conversation.contact_id"));
      batch.Add(sql::kMoveUnreadMessages, pg::Params().Id(tenant).Id(id).Id(contact));
    }
    if (conversation.status() == ms::CONVERSATION_STATUS_CLOSED) {
      CRM_CO_TRY(
          PutRead(batch, conversation.id(), conversation.contact_id(), FromTimestamp(conversation.update_time())));
    }
    co_return absl::OkStatus();
  }),
   ...);
}

}  // namespace

void HearMessaging(events::Consumer& consumer, pg::Db& db) {
  HearMessages<ms::MessageQueued, ms::MessageSent, ms::MessageBounced, ms::MessageFailed, ms::MessageUpdated,
               ms::MessageCommented, ms::MessageReceived>(consumer, db);
  HearConversations<ms::ConversationCreated, ms::ConversationUpdated>(consumer);
  // What its owner has read is read; what a colleague looked into still waits for the owner.
  consumer.On<ms::ConversationRead>(
      [](const events::Heard&, const ms::ConversationRead& payload, pg::Batch& batch) -> Async<> {
        const ms::Conversation& conversation = payload.conversation();
        const bool owner = conversation.owner_id().empty() || conversation.owner_id() == payload.user_id();
        if (!payload.whole() || !owner || !conversation.has_last_inbound_time()) co_return absl::OkStatus();
        co_return PutRead(batch, conversation.id(), conversation.contact_id(),
                          FromTimestamp(conversation.last_inbound_time()));
      });
}

}  // namespace crm::contact
