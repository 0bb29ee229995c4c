#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/handlers/check_stages.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Changes a pipeline. Stages keep their ids; a stage that deals are in cannot go.
Async<v1::Pipeline> PipelineService::UpdatePipeline(Call& call, const v1::UpdatePipelineRequest& request) {
  CRM_CO_TRY(v1::Pipeline before, co_await db_.Get(call, pipelines_, request.pipeline().id()));
  CRM_CO_TRY(v1::Pipeline after, pg::Patched(call, before, request.pipeline(), request.update_mask(), request.etag()));
  std::vector<std::string> ids;
  for (int i = 0; i < after.stages_size(); ++i) {
    ids.push_back(NewId("stage", call.now()));
    const std::string& id = after.stages(i).id();
    if (!id.empty() && FindStage(before, id) == nullptr) {
      co_return FieldError(absl::StrCat("pipeline.stages[", i, "].id"),
                           "is no stage of this pipeline; leave it out for a new stage");
    }
  }
  CRM_CO_TRY(CheckPipeline(after, ids));
  if (before.is_default() && !after.is_default()) {
    co_return FieldError("pipeline.is_default", "cannot be taken away; make another pipeline the default instead");
  }
  google::protobuf::RepeatedPtrField<v1::Stage> removed;
  for (const auto& id : RemovedStages(before, after)) *removed.Add() = *FindStage(before, id);
  CRM_CO_TRY(co_await CheckStagesUnused(db_, call, removed));

  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Pipeline> {
    if (after.is_default() && !before.is_default()) {
      batch.Add(sql::kClearDefault, pg::Params().Id(call.tenant()).Id(UuidOf(after.id())));
    }
    batch.Update(pipelines_, before, after);
    v1::PipelineUpdated event;
    *event.mutable_pipeline() = after;
    pg::NewEvent about = pg::EventOf(pipelines_, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  });
  if (OtherDefaultCame(stored.status())) co_return LostRace(after.id());
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, pipelines_, stored.status(), after);
  co_return pg::Shown(call, pipelines_, *std::move(stored));
}

}  // namespace crm::deal_pipeline
