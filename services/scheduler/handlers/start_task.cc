#include "common/base/error.h"
#include "common/base/time.h"
#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Begins work on a task.
Async<v1::Task> TaskService::StartTask(Call& call, const v1::StartTaskRequest& request) {
  CRM_CO_TRY(v1::Task before, co_await db_.Get(call, tasks_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  CRM_CO_TRY(v1::Task after, Start(before, call.now()));
  co_return co_await StoreTaskChange(app_, call, std::move(before), std::move(after), "updated");
}

}  // namespace crm::scheduler
