#include "services/scheduler/handlers/decide_absence.h"

namespace crm::scheduler {

// Refuses a request.
Async<v1::Absence> AbsenceService::DeclineAbsence(Call& call, const v1::DeclineAbsenceRequest& request) {
  co_return co_await Decide(app_, call, request, v1::ABSENCE_STATUS_DECLINED);
}

}  // namespace crm::scheduler
