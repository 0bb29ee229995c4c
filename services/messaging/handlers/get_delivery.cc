#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/messaging/handlers/webhook_change.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"
#include "services/messaging/webhooks.h"

namespace crm::messaging {

// Answers a delivery with the body that is posted, as far as both the webhook and the reader may see personal data.
Async<v1::Delivery> WebhookService::GetDelivery(Call& call, const v1::GetDeliveryRequest& request) {
  if (!MaySeeDeliveries(call)) co_return NotFound(request.id());
  CRM_CO_TRY(v1::Delivery delivery, co_await db_.Get(call, deliveries_, request.id()));
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kFindDeliveryEvent, pg::Params().Id(UuidOf(delivery.id()))));
  CRM_CO_TRY(const v1::Webhook webhook, co_await db_.Get(call, table_, delivery.webhook_id(), type::v1::ACTION_READ,
                                                         /*show_deleted=*/true));
  events::v1::Event event;
  const absl::string_view bytes = rows.empty() ? absl::string_view() : rows.Bytes(0, 0);
  if (!event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    co_return absl::DataLossError("a delivery's event cannot be read");
  }
  const bool sees = call.principal.kind == Principal::Kind::kService || call.principal.rights->personal_data;
  auto body = WebhookBody(event, webhook.personal_data() && sees);
  if (absl::IsFailedPrecondition(body.status())) co_return delivery;  // a call's body that the reader may not see
  CRM_CO_TRY(*delivery.mutable_body(), std::move(body));
  co_return delivery;
}

}  // namespace crm::messaging
