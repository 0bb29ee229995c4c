#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists them by filter and order.
Async<v1::ListTasksResponse> TaskService::ListTasks(Call& call, const v1::ListTasksRequest& request) {
  co_return co_await pg::ListShown(db_, call, tasks_, request, &v1::ListTasksResponse::mutable_tasks);
}

}  // namespace crm::scheduler
