#include "common/base/status.h"
#include "common/base/time.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Lists the stages that a deal has been in.
Async<v1::ListStageVisitsResponse> DealService::ListStageVisits(Call& call, const v1::ListStageVisitsRequest& request) {
  CRM_CO_TRY(v1::Deal deal, co_await db_.Get(call, deals_, request.deal_id()));
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kListVisits, pg::Params().Id(UuidOf(deal.id()))));
  v1::ListStageVisitsResponse response;
  for (int i = 0; i < rows.size(); ++i) {
    auto* visit = response.add_visits();
    visit->set_stage_id(TypeId("stage", rows.Id(i, 0)));
    visit->set_stage_name(std::string(rows.Text(i, 1)));
    *visit->mutable_enter_time() = ToTimestamp(rows.Time(i, 2));
    if (!rows.IsNull(i, 3)) *visit->mutable_leave_time() = ToTimestamp(rows.Time(i, 3));
    visit->set_actor_id(std::string(rows.Text(i, 4)));
  }
  co_return response;
}

}  // namespace crm::deal_pipeline
