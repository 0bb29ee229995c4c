#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Restores one, if nobody has taken its address.
Async<v1::Channel> ChannelService::UndeleteChannel(Call& call, const v1::UndeleteChannelRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Undeleting(db_, call, channels_, request.id(), request.etag()));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Channel> {
    channels_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    batch.Add(sql::kClaimMailbox,
              pg::Params().Text(change.after.address()).Id(call.tenant()).Id(UuidOf(change.after.id())));
    EmitRecord<v1::ChannelUndeleted>(batch, channels_, "undeleted", change.after);
    return change.after;
  });
  if (!stored.ok()) co_return NameAddress(stored.status(), change.after);
  co_return ShownChannel(call, app_.tables, *std::move(stored));
}

}  // namespace crm::messaging
