#include "common/base/status.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Answers a task as the caller may see it. Who gave it and who watches it may, whatever the scope of their right.
Async<v1::Task> TaskService::GetTask(Call& call, const v1::GetTaskRequest& request) {
  CRM_CO_TRY(v1::Task task, co_await ReadTask(app_, call, request.id()));
  co_return co_await ShownTask(app_, call, std::move(task));
}

}  // namespace crm::scheduler
