#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Answers a task as the caller may see it. Who gave it and who watches it may, whatever the scope of their right.
Async<v1::Task> TaskService::GetTask(Call& call, const v1::GetTaskRequest& request) {
  auto task = co_await db_.Get(call, tasks_, request.id());
  if (task.status().code() == absl::StatusCode::kNotFound) {
    auto other = co_await db_.Get(ServiceCall(call), tasks_, request.id());
    const std::string& me = call.principal.user_id;
    if (!other.ok() || (other->creator_id() != me && std::find(other->watcher_ids().begin(), other->watcher_ids().end(),
                                                               me) == other->watcher_ids().end())) {
      co_return task.status();
    }
    task = std::move(other);
  }
  CRM_CO_TRY(task.status());
  co_return co_await ShownTask(app_, call, *std::move(task));
}

}  // namespace crm::scheduler
