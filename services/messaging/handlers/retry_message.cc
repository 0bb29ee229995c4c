#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Puts a letter back into the queue, with the same Message-ID: its attempts are counted on.
Async<v1::Message> MessageService::RetryMessage(Call& call, const v1::RetryMessageRequest& request) {
  CRM_CO_TRY(v1::Message before, co_await db_.Get(call, messages_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  const v1::MessageStatus status = before.status();
  if (status != v1::MESSAGE_STATUS_FAILED && status != v1::MESSAGE_STATUS_UNKNOWN &&
      status != v1::MESSAGE_STATUS_BLOCKED && status != v1::MESSAGE_STATUS_BOUNCED) {
    co_return StateError("only a letter that failed, bounced, was blocked or whose fate is unknown can be tried again",
                         {{"status", v1::MessageStatus_Name(status)}});
  }
  v1::Message after = before;
  after.set_status(v1::MESSAGE_STATUS_QUEUED);
  *after.mutable_next_attempt_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Message> {
    batch.Update(messages_, before, after);
    AddSend(batch, after, AddressesOf(after), absl::InfinitePast());
    EmitMessage(batch, app_.tables, after);
    return after;
  }));
  app_.wake_sender();
  co_return pg::Shown(call, messages_, std::move(stored));
}

}  // namespace crm::messaging
