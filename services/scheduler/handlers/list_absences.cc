#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists absences by filter and order.
Async<v1::ListAbsencesResponse> AbsenceService::ListAbsences(Call& call, const v1::ListAbsencesRequest& request) {
  co_return co_await pg::ListShown(db_, call, absences_, request, &v1::ListAbsencesResponse::mutable_absences);
}

}  // namespace crm::scheduler
