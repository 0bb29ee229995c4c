#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Answers one pipeline as the caller may see it.
Async<v1::Pipeline> PipelineService::GetPipeline(Call& call, const v1::GetPipelineRequest& request) {
  co_return co_await pg::GetShown(db_, call, pipelines_, request.id());
}

}  // namespace crm::deal_pipeline
