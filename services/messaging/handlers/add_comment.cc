#include "services/messaging/rules/html.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Says something to colleagues: a message that goes nowhere.
Async<v1::Message> ConversationService::AddComment(Call& call, const v1::AddCommentRequest& request) {
  CRM_CO_TRY(v1::Conversation before,
             co_await db_.Get(call, conversations_, request.conversation_id(), type::v1::ACTION_UPDATE));
  v1::Message comment;
  comment.set_conversation_id(before.id());
  comment.set_channel_id(before.channel_id());
  comment.set_direction(v1::MESSAGE_DIRECTION_INTERNAL);
  comment.set_kind(v1::MESSAGE_KIND_COMMENT);
  comment.set_status(v1::MESSAGE_STATUS_POSTED);
  comment.set_text(request.text());
  comment.set_preview(PreviewOf(request.text()));
  comment.set_contact_id(before.contact_id());
  comment.set_company_id(before.company_id());
  comment.set_deal_id(before.deal_id());
  comment.set_author_id(call.principal.user_id);
  *comment.mutable_mention_ids() = request.mention_ids();
  comment.set_owner_id(before.owner_id());
  comment.set_team_id(before.team_id());
  pg::StampNew(call, messages_, comment);
  v1::Conversation after = before;
  LeaveTraces(after, comment, "");
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Message> {
    batch.Insert(messages_, comment);
    ChangeConversation(batch, app_.tables, before, after);
    EmitMessage(batch, app_.tables, comment);
    return comment;
  }));
  co_return pg::Shown(call, messages_, std::move(stored));
}

}  // namespace crm::messaging
