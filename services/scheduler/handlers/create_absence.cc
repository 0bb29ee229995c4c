#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/absences.h"
#include "services/scheduler/service.h"
#include "services/scheduler/tasks.h"

namespace crm::scheduler {

// Asks for days off, or reports an illness, and tells the head.
Async<v1::Absence> AbsenceService::CreateAbsence(Call& call, const v1::CreateAbsenceRequest& request) {
  v1::Absence absence = request.absence();
  if (absence.kind() == v1::ABSENCE_KIND_UNSPECIFIED) absence.set_kind(v1::ABSENCE_KIND_VACATION);
  absence.set_status(absence.kind() == v1::ABSENCE_KIND_SICK ? v1::ABSENCE_STATUS_APPROVED
                                                             : v1::ABSENCE_STATUS_REQUESTED);
  CRM_CO_TRY(co_await app::FillTeam(db_, call, absence));
  pg::StampNew(call, absences_, absence);
  CRM_CO_TRY(CheckAbsence(absence));
  CRM_CO_TRY(pg::CheckCreate(call, absences_, absence));
  if (absence.owner_id().empty()) co_return FieldError("absence.owner_id", "is needed: it says who is away");
  CRM_CO_TRY(std::vector<Notice> notices, co_await ToHead(app_, call, absence));
  CRM_CO_TRY(std::vector<v1::Notification> told, co_await PrepareNotices(app_, ServiceCall(call), std::move(notices)));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Absence> {
    batch.Insert(absences_, absence);
    v1::AbsenceCreated event;
    *event.mutable_absence() = absence;
    batch.Emit(pg::EventOf(absences_, "created", absence), event);
    AddNotices(batch, app_, told);
    return absence;
  }));
  co_return co_await ShownAbsence(app_, call, std::move(stored));
}

}  // namespace crm::scheduler
