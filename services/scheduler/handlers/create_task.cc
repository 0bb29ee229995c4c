#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Makes a task, sets its timers, and tells the assignee.
Async<v1::Task> TaskService::CreateTask(Call& call, const v1::CreateTaskRequest& request) {
  CRM_CO_TRY(NewTask made, co_await PrepareTask(app_, call, request.task()));
  CRM_CO_TRY(pg::CheckCreate(call, tasks_, made.task));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Task> {
    AddTask(batch, app_, made);
    return made.task;
  }));
  co_return pg::Shown(call, tasks_, std::move(stored));
}

}  // namespace crm::scheduler
