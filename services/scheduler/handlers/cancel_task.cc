#include "common/base/error.h"
#include "common/base/time.h"
#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Gives a task up, and its parts.
Async<v1::Task> TaskService::CancelTask(Call& call, const v1::CancelTaskRequest& request) {
  CRM_CO_TRY(v1::Task before, co_await db_.Get(call, tasks_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  CRM_CO_TRY(v1::Task after, Cancel(before, request.reason(), call.now()));
  co_return co_await StoreTaskChange(app_, call, std::move(before), std::move(after), "cancelled");
}

}  // namespace crm::scheduler
