#include "common/base/status.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Lists deliveries by filter and order.
Async<v1::ListDeliveriesResponse> WebhookService::ListDeliveries(Call& call, const v1::ListDeliveriesRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  if (!MaySeeDeliveries(call)) args.where = "false";
  CRM_CO_TRY(auto page, co_await db_.List(call, deliveries_, std::move(args)));
  v1::ListDeliveriesResponse response;
  for (auto& delivery : page.items) *response.add_deliveries() = std::move(delivery);
  response.set_next_page_token(std::move(page.next_page_token));
  co_return response;
}

}  // namespace crm::messaging
