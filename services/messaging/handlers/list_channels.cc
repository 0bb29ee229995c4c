#include <absl/strings/match.h>

#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists them by filter and order.
Async<v1::ListChannelsResponse> ChannelService::ListChannels(Call& call, const v1::ListChannelsRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  const bool administers = call.ScopeOf("channel", type::v1::ACTION_ADMINISTER) != type::v1::SCOPE_UNSPECIFIED;
  // What is hidden cannot be asked for either.
  if (!administers && (pg::FilterNames(args, "smtp") || absl::StrContains(args.order_by, "smtp")))
    co_return FieldError("filter", "names smtp, which only administrators of channels see");
  CRM_CO_TRY(auto response, co_await pg::ListShown(db_, call, channels_, request,
                                                   &v1::ListChannelsResponse::mutable_channels, std::move(args)));
  if (!administers) {
    for (auto& channel : *response.mutable_channels()) channel.clear_smtp();
  }
  co_return response;
}

}  // namespace crm::messaging
