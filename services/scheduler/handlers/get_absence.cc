#include "common/base/status.h"
#include "services/scheduler/absences.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Answers an absence with what it collides with.
Async<v1::Absence> AbsenceService::GetAbsence(Call& call, const v1::GetAbsenceRequest& request) {
  CRM_CO_TRY(v1::Absence absence, co_await db_.Get(call, absences_, request.id()));
  co_return co_await ShownAbsence(app_, call, std::move(absence));
}

}  // namespace crm::scheduler
