#include <vector>

#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Puts a conversation aside as done.
Async<v1::Conversation> ConversationService::CloseConversation(Call& call,
                                                               const v1::CloseConversationRequest& request) {
  co_return co_await SetStatus(call, request.id(), request.etag(), v1::CONVERSATION_STATUS_CLOSED);
}

Async<v1::Conversation> ConversationService::SetStatus(Call& call, std::string id, std::string etag,
                                                       v1::ConversationStatus status) {
  CRM_CO_TRY(v1::Conversation before, co_await db_.Get(call, conversations_, id, type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, etag));
  v1::Conversation after = before;
  after.set_status(status);
  if (status == v1::CONVERSATION_STATUS_CLOSED) after.set_waiting(false);
  if (before.status() != status) {
    pg::Touch(call, before, after);
    CRM_CO_TRY(after, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Conversation> {
      ChangeConversation(batch, app_.tables, before, after);
      return after;
    }));
  }
  v1::Conversation shown = pg::Shown(call, conversations_, std::move(after));
  std::vector<v1::Conversation*> all = {&shown};
  CRM_CO_TRY(co_await FillUnread(app_, call, all));
  co_return shown;
}

}  // namespace crm::messaging
