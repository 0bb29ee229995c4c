#include "common/base/error.h"
#include "common/base/time.h"
#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Ends a task with its result; the next of its series is made with it.
Async<v1::Task> TaskService::CompleteTask(Call& call, const v1::CompleteTaskRequest& request) {
  CRM_CO_TRY(v1::Task before, co_await db_.Get(call, tasks_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  CRM_CO_TRY(std::vector<v1::Task> parts, co_await OpenParts(app_, call, before.id()));
  CRM_CO_TRY(v1::Task after, Complete(before, request.result(), static_cast<int>(parts.size()), call.now()));
  co_return co_await StoreTaskChange(app_, call, std::move(before), std::move(after), "completed");
}

}  // namespace crm::scheduler
