#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/absences.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Takes an absence back.
Async<v1::Absence> AbsenceService::CancelAbsence(Call& call, const v1::CancelAbsenceRequest& request) {
  CRM_CO_TRY(v1::Absence before, co_await db_.Get(call, absences_, request.id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (before.status() != v1::ABSENCE_STATUS_REQUESTED && before.status() != v1::ABSENCE_STATUS_APPROVED) {
    co_return StateError("the absence was refused or taken back already",
                         {{"status", v1::AbsenceStatus_Name(before.status())}});
  }
  v1::Absence after = before;
  after.set_status(v1::ABSENCE_STATUS_CANCELLED);
  pg::Touch(call, before, after);
  co_return co_await StoreAbsence(app_, call, std::move(before), std::move(after), type::v1::ACTION_UPDATE, {});
}

}  // namespace crm::scheduler
