#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Moves a deal and says so; both or neither.
Async<v1::Deal> DealService::MoveDeal(Call& call, const v1::MoveDealRequest& request) {
  CRM_CO_TRY(v1::Deal before, co_await db_.Get(call, deals_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  CRM_CO_TRY(v1::Pipeline pipeline, co_await db_.Get(call, pipelines_, before.pipeline_id()));
  CRM_CO_TRY(v1::Deal after, Move(before, pipeline, request, call.now()));
  pg::Touch(call, before, after);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Deal> {
    batch.Add(sql::kEndVisit, pg::Params().Id(call.tenant()).Id(UuidOf(after.id())).Time(call.now()));
    BeginVisit(batch, after, FindStage(pipeline, after.stage_id())->name(), call.principal.user_id);
    v1::DealMoved event;
    *event.mutable_deal() = after;
    event.set_from_stage_id(before.stage_id());
    event.set_dwell_seconds(absl::ToDoubleSeconds(call.now() - FromTimestamp(before.stage_enter_time())));
    ChangeDeal(batch, deals_, before, after, "moved", event);
    return after;
  }));
  co_return pg::Shown(call, deals_, std::move(stored));
}

}  // namespace crm::deal_pipeline
