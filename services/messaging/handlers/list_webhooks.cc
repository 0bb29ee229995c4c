#include "common/pg/records.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Lists webhooks by filter and order.
Async<v1::ListWebhooksResponse> WebhookService::ListWebhooks(Call& call, const v1::ListWebhooksRequest& request) {
  CRM_CO_TRY(auto page, co_await db_.List(call, table_, pg::ListArgsOf(request)));
  v1::ListWebhooksResponse response;
  for (auto& webhook : page.items) *response.add_webhooks() = pg::Shown(call, table_, std::move(webhook));
  response.set_next_page_token(std::move(page.next_page_token));
  co_return response;
}

}  // namespace crm::messaging
