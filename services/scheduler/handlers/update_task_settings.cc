#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/rules/tasks.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Changes the settings; the first change stores them.
Async<v1::TaskSettings> TaskService::UpdateTaskSettings(Call& call, const v1::UpdateTaskSettingsRequest& request) {
  CRM_CO_TRY(v1::TaskSettings before, co_await TaskSettingsOf(app_, call));
  const bool stored = !before.etag().empty();
  v1::TaskSettings patch = request.task_settings();
  patch.set_id(before.id());
  CRM_CO_TRY(v1::TaskSettings after, pg::Patched(call, before, patch, request.update_mask(), request.etag()));
  CRM_CO_TRY(CheckEscalation(after));
  if (!stored) {
    after.clear_etag();
    after.clear_create_time();
    after.clear_update_time();
    pg::StampNew(call, app_.tables.task_settings, after);
  }
  CRM_CO_TRY(auto answer, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::TaskSettings> {
    if (stored) {
      batch.Update(app_.tables.task_settings, before, after);
    } else {
      batch.Insert(app_.tables.task_settings, after);
    }
    return after;
  }));
  co_return pg::Shown(call, app_.tables.task_settings, std::move(answer));
}

}  // namespace crm::scheduler
