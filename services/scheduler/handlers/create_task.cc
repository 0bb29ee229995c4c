#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Makes one and says so.
Async<v1::Task> TaskService::CreateTask(Call& call, const v1::CreateTaskRequest& request) {
  v1::Task task = request.task();
  pg::StampNew(call, tasks_, task);
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Task> {
    batch.Insert(tasks_, task);
    v1::TaskCreated event;
    *event.mutable_task() = task;
    batch.Emit(pg::EventOf(tasks_, "created", task), event);
    return task;
  }));
  co_return pg::Shown(call, tasks_, std::move(made));
}

}  // namespace crm::scheduler
