#include <vector>

#include "common/app/members.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Changes who is responsible for a conversation or what it is about; its messages follow.
Async<v1::Conversation> ConversationService::UpdateConversation(Call& call,
                                                                const v1::UpdateConversationRequest& request) {
  CRM_CO_TRY(v1::Conversation before,
             co_await db_.Get(call, conversations_, request.conversation().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Conversation after,
             pg::Patched(call, before, request.conversation(), request.update_mask(), request.etag()));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, before, after));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Conversation> {
    ChangeConversation(batch, app_.tables, before, after);
    return after;
  }));
  v1::Conversation shown = pg::Shown(call, conversations_, std::move(stored));
  std::vector<v1::Conversation*> all = {&shown};
  CRM_CO_TRY(co_await FillUnread(app_, call, all));
  co_return shown;
}

}  // namespace crm::messaging
