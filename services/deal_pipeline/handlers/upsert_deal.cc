#include "common/base/error.h"
#include "common/base/status.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes the deal that has the external id, or makes it.
Async<v1::Deal> DealService::UpsertDeal(Call& call, const v1::UpsertDealRequest& request) {
  CRM_CO_TRY(const std::string found, co_await pg::FindToUpsert(db_, call, request.deal(), "deal"));
  if (found.empty()) {
    v1::CreateDealRequest create;
    *create.mutable_deal() = request.deal();
    auto made = co_await CreateDeal(call, create);
    // Someone made it between the look and the write: look again.
    if (absl::IsAlreadyExists(made.status())) co_return LostRace(request.deal().external_ids(0).id());
    co_return made;
  }
  v1::UpdateDealRequest update;
  *update.mutable_deal() = request.deal();
  update.mutable_deal()->set_id(found);
  *update.mutable_update_mask() = pg::UpsertMask(request.deal(), request.update_mask());
  co_return co_await UpdateDeal(call, update);
}

}  // namespace crm::deal_pipeline
