#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Takes a letter back that no attempt was made with.
Async<v1::Message> MessageService::CancelMessage(Call& call, const v1::CancelMessageRequest& request) {
  CRM_CO_TRY(v1::Message before, co_await db_.Get(call, messages_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (before.status() != v1::MESSAGE_STATUS_QUEUED) {
    co_return StateError("only a letter that still waits in the queue can be taken back",
                         {{"status", v1::MessageStatus_Name(before.status())}});
  }
  v1::Message after = before;
  after.set_status(v1::MESSAGE_STATUS_CANCELLED);
  after.clear_next_attempt_time();
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Message> {
    batch.Update(messages_, before, after);
    // The sender marks the row before it begins: whoever is first wins, the other one starts over.
    batch.AddGuarded(sql::kCancelSend, pg::Params().Id(call.tenant()).Id(UuidOf(after.id())), after.id());
    EmitMessage(batch, app_.tables, after);
    return after;
  }));
  co_return pg::Shown(call, messages_, std::move(stored));
}

}  // namespace crm::messaging
