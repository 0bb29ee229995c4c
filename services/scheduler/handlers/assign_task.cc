#include "common/base/error.h"
#include "services/scheduler/handlers/change_task.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/people.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Gives a task to another person, with a word for them.
Async<v1::Task> TaskService::AssignTask(Call& call, const v1::AssignTaskRequest& request) {
  CRM_CO_TRY(v1::Task before, co_await db_.Get(call, tasks_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (!IsOpen(before)) co_return StateError("the task is closed; reopen it before it is given to somebody");
  if (before.owner_id() == request.owner_id()) co_return StateError("the task is this person's already");
  CRM_CO_TRY(std::optional<Person> person, co_await FindPerson(db_, call, request.owner_id()));
  if (person && !person->active) co_return FieldError("owner_id", "names somebody who has left; choose another person");
  v1::Task after = before;
  after.set_owner_id(request.owner_id());
  CRM_CO_TRY(TaskChange change, co_await PrepareChange(app_, call, std::move(before), std::move(after), "updated"));
  if (!request.comment().empty()) {
    for (v1::Notification& told : change.told) told.set_text(request.comment());
  }
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Task> {
    ChangeTask(batch, app_, change);
    return change.after;
  }));
  co_return co_await ShownTask(app_, call, std::move(stored));
}

}  // namespace crm::scheduler
