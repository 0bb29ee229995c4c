#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Lists pipelines by filter and order.
Async<v1::ListPipelinesResponse> PipelineService::ListPipelines(Call& call, const v1::ListPipelinesRequest& request) {
  co_return co_await pg::ListShown(db_, call, pipelines_, request, &v1::ListPipelinesResponse::mutable_pipelines);
}

}  // namespace crm::deal_pipeline
