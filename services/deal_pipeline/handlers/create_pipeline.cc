#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Makes a pipeline with its stages. A new default one takes the mark from the old.
Async<v1::Pipeline> PipelineService::CreatePipeline(Call& call, const v1::CreatePipelineRequest& request) {
  v1::Pipeline pipeline = request.pipeline();
  for (auto& stage : *pipeline.mutable_stages()) stage.clear_id();
  std::vector<std::string> ids;
  for (int i = 0; i < pipeline.stages_size(); ++i) ids.push_back(NewId("stage", call.now()));
  CRM_CO_TRY(CheckPipeline(pipeline, ids));
  pg::StampNew(call, pipelines_, pipeline);
  auto made = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Pipeline> {
    if (pipeline.is_default()) {
      batch.Add(sql::kClearDefault, pg::Params().Id(call.tenant()).Id(UuidOf(pipeline.id())));
    }
    batch.Insert(pipelines_, pipeline);
    v1::PipelineCreated event;
    *event.mutable_pipeline() = pipeline;
    batch.Emit(pg::EventOf(pipelines_, "created", pipeline), event);
    return pipeline;
  });
  if (OtherDefaultCame(made.status())) co_return LostRace(pipeline.id());
  if (!made.ok()) co_return co_await pg::NameExisting(db_, call, pipelines_, made.status(), pipeline);
  co_return pg::Shown(call, pipelines_, *std::move(made));
}

}  // namespace crm::deal_pipeline
