#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Answers one as the caller may see it.
Async<v1::Task> TaskService::GetTask(Call& call, const v1::GetTaskRequest& request) {
  co_return co_await pg::GetShown(db_, call, tasks_, request.id());
}

}  // namespace crm::scheduler
