#include "services/scheduler/handlers/decide_absence.h"

namespace crm::scheduler {

// Grants a request.
Async<v1::Absence> AbsenceService::ApproveAbsence(Call& call, const v1::ApproveAbsenceRequest& request) {
  co_return co_await Decide(app_, call, request, v1::ABSENCE_STATUS_APPROVED);
}

}  // namespace crm::scheduler
