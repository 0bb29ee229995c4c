#include "common/base/time.h"
#include "crm/messaging/v1/events.pb.h"
#include "crm/type/v1/touch.pb.h"
#include "services/deal_pipeline/consumers/consumers.h"
#include "services/deal_pipeline/sql.h"

namespace crm::deal_pipeline {
namespace letters {

namespace ms = messaging::v1;

absl::Status AddDealId(pg::Params& params, const std::string& deal_id) {
  if (deal_id.empty()) {
    params.Null();
    return absl::OkStatus();
  }
  CRM_TRY(Uuid deal, ParseId(deal_id, "deal", "deal_id"));
  params.Id(deal);
  return absl::OkStatus();
}

// Everything in the conversation up to then has been read or answered.
absl::Status PutRead(pg::Batch& batch, const std::string& conversation_id, const std::string& deal_id,
                     absl::Time time) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid conversation, ParseId(conversation_id, "conversation", "conversation_id"));
  batch.Add(sql::kPutConversationMark, pg::Params().Id(tenant).Id(conversation).Time(time));
  pg::Params left;
  left.Id(tenant).Id(conversation);
  CRM_TRY(AddDealId(left, deal_id));
  batch.Add(sql::kRefreshUnread, std::move(left));
  return absl::OkStatus();
}

absl::Status Touch(pg::Batch& batch, const std::string& deal_id, absl::Time time, type::v1::TouchDirection direction) {
  if (deal_id.empty()) return absl::OkStatus();
  CRM_TRY(Uuid deal, ParseId(deal_id, "deal", "message.deal_id"));
  batch.Add(sql::kTouchDeal,
            pg::Params().Id(batch.call().tenant()).Id(deal).Time(time).Int(type::v1::TOUCH_KIND_EMAIL).Int(direction));
  return absl::OkStatus();
}

absl::Status Put(pg::Batch& batch, const ms::Message& message) {
  const Uuid& tenant = batch.call().tenant();
  switch (message.status()) {
    case ms::MESSAGE_STATUS_RECEIVED: {
      CRM_TRY(Uuid id, ParseId(message.id(), "message", "message.id"));
      CRM_TRY(Uuid conversation, ParseId(message.conversation_id(), "conversation", "message.conversation_id"));
      const absl::Time time = FromTimestamp(message.create_time());
      pg::Params unread, left;
      unread.Id(tenant).Id(id).Id(conversation);
      CRM_TRY(AddDealId(unread, message.deal_id()));
      batch.Add(sql::kPutUnreadMessage, std::move(unread.Time(time)));
      left.Id(tenant).Id(conversation);
      CRM_TRY(AddDealId(left, message.deal_id()));
      batch.Add(sql::kRefreshUnread, std::move(left));
      return Touch(batch, message.deal_id(), time, type::v1::TOUCH_DIRECTION_INBOUND);
    }
    case ms::MESSAGE_STATUS_SENT:
    case ms::MESSAGE_STATUS_DELIVERED:
      CRM_TRY(PutRead(batch, message.conversation_id(), message.deal_id(), FromTimestamp(message.create_time())));
      return Touch(batch, message.deal_id(), FromTimestamp(message.send_time()), type::v1::TOUCH_DIRECTION_OUTBOUND);
    default:
      return absl::OkStatus();
  }
}

absl::Status Put(pg::Batch& batch, const ms::Conversation& conversation) {
  if (!conversation.deal_id().empty()) {
    CRM_TRY(Uuid id, ParseId(conversation.id(), "conversation", "conversation.id"));
    CRM_TRY(Uuid deal, ParseId(conversation.deal_id(), "deal", "conversation.deal_id"));
    batch.Add(sql::kMoveUnreadMessages, pg::Params().Id(batch.call().tenant()).Id(id).Id(deal));
  }
  if (conversation.status() != ms::CONVERSATION_STATUS_CLOSED) return absl::OkStatus();
  return PutRead(batch, conversation.id(), conversation.deal_id(), FromTimestamp(conversation.update_time()));
}

template <typename... Payloads>
void HearMessages(events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard&, const Payloads& payload, pg::Batch& batch) -> Async<> {
    co_return Put(batch, payload.message());
  }),
   ...);
}

}  // namespace letters

void HearMessaging(events::Consumer& consumer) {
  namespace ms = messaging::v1;
  letters::HearMessages<ms::MessageSent, ms::MessageUpdated, ms::MessageReceived>(consumer);
  consumer.On<ms::ConversationUpdated>(
      [](const events::Heard&, const ms::ConversationUpdated& payload, pg::Batch& batch) -> Async<> {
        co_return letters::Put(batch, payload.conversation());
      });
  // What its owner has read is read; what a colleague looked into still waits for the owner.
  consumer.On<ms::ConversationRead>(
      [](const events::Heard&, const ms::ConversationRead& payload, pg::Batch& batch) -> Async<> {
        const ms::Conversation& conversation = payload.conversation();
        const bool owner = conversation.owner_id().empty() || conversation.owner_id() == payload.user_id();
        if (!payload.whole() || !owner || !conversation.has_last_inbound_time()) co_return absl::OkStatus();
        co_return letters::PutRead(batch, conversation.id(), conversation.deal_id(),
                                   FromTimestamp(conversation.last_inbound_time()));
      });
}

}  // namespace crm::deal_pipeline
