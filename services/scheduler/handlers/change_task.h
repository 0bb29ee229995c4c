// What the calls that move a task on have in common: read it, let a rule decide, write it with all that follows.
#pragma once

#include <string>
#include <utility>

#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// The caller's right to change the task was checked when `before` was read. `what`: the event's.
inline Async<v1::Task> StoreTaskChange(App& app, Call& call, v1::Task before, v1::Task after, std::string what,
                                       type::v1::Action action = type::v1::ACTION_UPDATE) {
  CRM_CO_TRY(TaskChange change,
             co_await PrepareChange(app, call, std::move(before), std::move(after), std::move(what)));
  CRM_CO_TRY(auto stored, co_await app.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Task> {
    ChangeTask(batch, app, change, action);
    return change.after;
  }));
  co_return co_await ShownTask(app, call, std::move(stored));
}

}  // namespace crm::scheduler
