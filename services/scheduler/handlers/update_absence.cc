#include "common/base/error.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/scheduler/absences.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Changes an absence; other days or another kind have to be decided anew.
Async<v1::Absence> AbsenceService::UpdateAbsence(Call& call, const v1::UpdateAbsenceRequest& request) {
  CRM_CO_TRY(v1::Absence before, co_await db_.Get(call, absences_, request.absence().id(), type::v1::ACTION_UPDATE));
  if (before.status() == v1::ABSENCE_STATUS_CANCELLED)
    co_return StateError("the absence was taken back; make a new one");
  CRM_CO_TRY(v1::Absence after, pg::Patched(call, before, request.absence(), request.update_mask(), request.etag()));
  if (after.owner_id() != before.owner_id() || after.team_id() != before.team_id()) {
    co_return FieldError("absence.owner_id", "cannot change: an absence stays that of its person; make another one");
  }
  if (after.kind() == v1::ABSENCE_KIND_UNSPECIFIED) after.set_kind(v1::ABSENCE_KIND_VACATION);
  CRM_CO_TRY(CheckAbsence(after));
  std::vector<Notice> notices;
  if (after.start_date() != before.start_date() || after.end_date() != before.end_date() ||
      after.kind() != before.kind()) {
    after.set_status(after.kind() == v1::ABSENCE_KIND_SICK ? v1::ABSENCE_STATUS_APPROVED
                                                           : v1::ABSENCE_STATUS_REQUESTED);
    after.clear_decider_id();
    after.clear_decide_time();
    after.clear_decision_note();
    CRM_CO_TRY(notices, co_await ToHead(app_, call, after));
  }
  co_return co_await StoreAbsence(app_, call, std::move(before), std::move(after), type::v1::ACTION_UPDATE,
                                  std::move(notices));
}

}  // namespace crm::scheduler
