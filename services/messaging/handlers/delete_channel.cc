#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Deletes one and frees its address; it can be restored.
Async<v1::Channel> ChannelService::DeleteChannel(Call& call, const v1::DeleteChannelRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, channels_, request.id(), request.etag()));
  change.after.set_is_default(false);
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Channel> {
    channels_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    batch.Add(sql::kReleaseMailbox, pg::Params().Id(call.tenant()).Id(UuidOf(change.after.id())));
    EmitRecord<v1::ChannelDeleted>(batch, channels_, "deleted", change.after);
    return change.after;
  });
  if (!stored.ok()) co_return NameAddress(stored.status(), change.after);
  co_return ShownChannel(call, app_.tables, *std::move(stored));
}

}  // namespace crm::messaging
