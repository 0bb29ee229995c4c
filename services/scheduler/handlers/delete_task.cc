#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Deletes a task; its timers and reminders go with it.
Async<v1::Task> TaskService::DeleteTask(Call& call, const v1::DeleteTaskRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, tasks_, request.id(), request.etag()));
  co_return co_await StoreTaskChange(app_, call, std::move(change.before), std::move(change.after), "deleted",
                                     type::v1::ACTION_DELETE);
}

}  // namespace crm::scheduler
