#include "services/messaging/handlers/check_channel.h"
#include "services/messaging/service.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Changes one. The password is changed only if the mask names it.
Async<v1::Channel> ChannelService::UpdateChannel(Call& call, const v1::UpdateChannelRequest& request) {
  CRM_CO_TRY(v1::Channel before, co_await db_.Get(call, channels_, request.channel().id()));
  v1::Channel patch = request.channel();
  const std::string password = patch.password();
  patch.clear_password();
  google::protobuf::FieldMask mask;
  bool new_password = !password.empty() && request.update_mask().paths_size() == 0;
  for (const auto& path : request.update_mask().paths()) {
    if (path == "password") {
      new_password = true;
    } else {
      mask.add_paths(path);
    }
  }
  v1::Channel after = before;
  if (mask.paths_size() > 0 || request.update_mask().paths_size() == 0) {
    CRM_CO_TRY(after, pg::Patched(call, before, patch, mask, request.etag()));
  } else {
    CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
    pg::Touch(call, before, after);
  }
  CRM_CO_TRY(CheckChannel(app_.settings, after));
  if (new_password) after.set_has_password(!password.empty());
  // A stored password must not be handed to another server than the one that it was entered for.
  const bool other_server = before.smtp().host() != after.smtp().host() || before.smtp().user() != after.smtp().user();
  const bool forget = other_server && !new_password && before.has_password();
  if (forget) after.set_has_password(false);
  if (before.is_default() && !after.is_default())
    co_return FieldError("channel.is_default", "cannot be taken away; make another channel the default instead");
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Channel> {
    const Uuid id = UuidOf(after.id());
    if (after.is_default() && !before.is_default())
      batch.Add(sql::kClearDefaultChannel, pg::Params().Id(call.tenant()).Id(id).Time(call.now()));
    batch.Update(channels_, before, after);
    if (before.address() != after.address()) {
      batch.Add(sql::kReleaseMailbox, pg::Params().Id(call.tenant()).Id(id));
      batch.Add(sql::kClaimMailbox, pg::Params().Text(after.address()).Id(call.tenant()).Id(id));
    }
    if (new_password || forget) CRM_TRY(AddChannelSecret(batch, app_.settings, after, new_password ? password : ""));
    EmitRecord<v1::ChannelUpdated>(batch, channels_, "updated", after, pg::ChangedFields(before, after));
    return after;
  });
  if (!stored.ok()) co_return NameAddress(stored.status(), after);
  co_return ShownChannel(call, app_.tables, *std::move(stored));
}

}  // namespace crm::messaging
