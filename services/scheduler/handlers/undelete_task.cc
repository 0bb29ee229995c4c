#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Restores a task with its timers.
Async<v1::Task> TaskService::UndeleteTask(Call& call, const v1::UndeleteTaskRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Undeleting(db_, call, tasks_, request.id(), request.etag()));
  co_return co_await StoreTaskChange(app_, call, std::move(change.before), std::move(change.after), "undeleted",
                                     type::v1::ACTION_DELETE);
}

}  // namespace crm::scheduler
