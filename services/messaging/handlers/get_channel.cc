#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Answers one as the caller may see it.
Async<v1::Channel> ChannelService::GetChannel(Call& call, const v1::GetChannelRequest& request) {
  CRM_CO_TRY(v1::Channel channel, co_await db_.Get(call, channels_, request.id()));
  co_return ShownChannel(call, app_.tables, std::move(channel));
}

}  // namespace crm::messaging
