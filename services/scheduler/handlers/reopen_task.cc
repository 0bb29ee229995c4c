#include "common/base/error.h"
#include "common/base/time.h"
#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Takes a task up again.
Async<v1::Task> TaskService::ReopenTask(Call& call, const v1::ReopenTaskRequest& request) {
  CRM_CO_TRY(v1::Task before, co_await db_.Get(call, tasks_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  std::optional<absl::Time> due;
  if (request.has_due_time()) due = FromTimestamp(request.due_time());
  CRM_CO_TRY(v1::Task after, Reopen(before, due, call.now()));
  co_return co_await StoreTaskChange(app_, call, std::move(before), std::move(after), "reopened");
}

}  // namespace crm::scheduler
