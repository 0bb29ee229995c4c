#include "common/app/members.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/rules/pricing.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes fields of a deal other than its stage; new lines are priced anew.
Async<v1::Deal> DealService::UpdateDeal(Call& call, const v1::UpdateDealRequest& request) {
  CRM_CO_TRY(v1::Deal before, co_await db_.Get(call, deals_, request.deal().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Deal after, pg::Patched(call, before, request.deal(), request.update_mask(), request.etag()));
  CRM_CO_TRY(auto products, co_await ProductsOf(db_, call, products_, std::vector<const v1::Deal*>(1, &after)));
  CRM_CO_TRY(Price(after, products, call.currency_code));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, before, after));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Deal> {
    v1::DealUpdated event;
    *event.mutable_deal() = after;
    ChangeDeal(batch, deals_, before, after, "updated", event);
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, deals_, stored.status(), after);
  co_return pg::Shown(call, deals_, *std::move(stored));
}

}  // namespace crm::deal_pipeline
