#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Makes one: its address, in the directory of all tenants, and its password with it.
Async<v1::Channel> ChannelService::CreateChannel(Call& call, const v1::CreateChannelRequest& request) {
  v1::Channel channel = request.channel();
  const std::string password = channel.password();
  channel.clear_password();
  CRM_CO_TRY(CheckChannel(app_.settings, channel));
  channel.set_has_password(!password.empty());
  if (channel.default_owner_id().empty() && call.principal.kind == Principal::Kind::kUser)
    channel.set_default_owner_id(call.principal.user_id);
  pg::StampNew(call, channels_, channel);
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Channel> {
    if (channel.is_default())
      batch.Add(sql::kClearDefaultChannel, pg::Params().Id(call.tenant()).Id(UuidOf(channel.id())).Time(call.now()));
    batch.Insert(channels_, channel);
    batch.Add(sql::kClaimMailbox, pg::Params().Text(channel.address()).Id(call.tenant()).Id(UuidOf(channel.id())));
    if (!password.empty()) CRM_TRY(AddChannelSecret(batch, app_.settings, channel, password));
    EmitRecord<v1::ChannelCreated>(batch, channels_, "created", channel);
    return channel;
  });
  if (!stored.ok()) co_return NameAddress(stored.status(), channel);
  co_return ShownChannel(call, app_.tables, *std::move(stored));
}

}  // namespace crm::messaging
