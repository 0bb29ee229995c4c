#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists absences by filter and order.
Async<v1::ListAbsencesResponse> AbsenceService::ListAbsences(Call& call, const v1::ListAbsencesRequest& request) {
  co_return co_await pg::ListReply<v1::ListAbsencesResponse>(db_, call, absences_, request);
}

}  // namespace crm::scheduler
