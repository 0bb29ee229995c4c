#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Changes fields of a task; its timers follow a new due time.
Async<v1::Task> TaskService::UpdateTask(Call& call, const v1::UpdateTaskRequest& request) {
  CRM_CO_TRY(v1::Task before, co_await db_.Get(call, tasks_, request.task().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Task after, pg::Patched(call, before, request.task(), request.update_mask(), request.etag()));
  CRM_CO_TRY(CheckTask(before, after, call.now()));
  co_return co_await StoreTaskChange(app_, call, std::move(before), std::move(after), "updated");
}

}  // namespace crm::scheduler
