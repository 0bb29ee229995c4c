#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Answers the tenant's settings, or the usual ones.
Async<v1::TaskSettings> TaskService::GetTaskSettings(Call& call, const v1::GetTaskSettingsRequest&) {
  CRM_CO_TRY(v1::TaskSettings settings, co_await TaskSettingsOf(app_, call));
  co_return pg::Shown(call, app_.tables.task_settings, std::move(settings));
}

}  // namespace crm::scheduler
