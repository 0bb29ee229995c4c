#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/handlers/check_stages.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Deletes a pipeline; it can be restored.
Async<v1::Pipeline> PipelineService::DeletePipeline(Call& call, const v1::DeletePipelineRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, pipelines_, request.id(), request.etag()));
  if (change.before.is_default()) {
    co_return StateError("the default pipeline cannot be deleted; make another one the default first");
  }
  CRM_CO_TRY(co_await CheckStagesUnused(db_, call, change.before.stages()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Pipeline> {
    v1::PipelineUpdated event;
    *event.mutable_pipeline() = change.after;
    pipelines_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    batch.Emit(pg::EventOf(pipelines_, "updated", change.after), event);
    return change.after;
  }));
  co_return pg::Shown(call, pipelines_, std::move(stored));
}

}  // namespace crm::deal_pipeline
