#include "common/app/members.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/rules/pricing.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Makes a deal on an open stage, priced by its lines.
Async<v1::Deal> DealService::CreateDeal(Call& call, const v1::CreateDealRequest& request) {
  v1::Deal deal = request.deal();
  CRM_CO_TRY(v1::Pipeline pipeline, co_await PipelineOf(db_, call, pipelines_, deal.pipeline_id(), "deal.pipeline_id"));
  deal.set_pipeline_id(pipeline.id());
  CRM_CO_TRY(auto products, co_await ProductsOf(db_, call, products_, std::vector<const v1::Deal*>(1, &deal)));
  CRM_CO_TRY(Price(deal, products, call.currency_code));
  CRM_CO_TRY(Enter(deal, pipeline, call.now()));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, deal));
  pg::StampNew(call, deals_, deal);
  CRM_CO_TRY(pg::CheckCreate(call, deals_, deal));
  auto made = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Deal> {
    AddDeal(batch, deals_, deal, pipeline, /*imported=*/false);
    return deal;
  });
  if (!made.ok()) co_return co_await pg::NameExisting(db_, call, deals_, made.status(), deal);
  co_return pg::Shown(call, deals_, *std::move(made));
}

}  // namespace crm::deal_pipeline
