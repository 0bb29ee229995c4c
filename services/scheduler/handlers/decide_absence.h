// Granting and refusing, which differ in one word.
#pragma once

#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/scheduler/absences.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

template <typename Request>
Async<v1::Absence> Decide(App& app, Call& call, const Request& request, v1::AbsenceStatus status) {
  const auto& absences = app.tables.absences;
  CRM_CO_TRY(v1::Absence before, co_await app.db.Get(call, absences, request.id(), type::v1::ACTION_ADMINISTER));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  if (before.status() != v1::ABSENCE_STATUS_REQUESTED) {
    co_return StateError("the absence does not wait for a decision",
                         {{"status", v1::AbsenceStatus_Name(before.status())}});
  }
  if (before.owner_id() == call.principal.user_id &&
      call.ScopeOf("absence", type::v1::ACTION_ADMINISTER) != type::v1::SCOPE_ALL) {
    co_return StateError("nobody decides on their own absence; ask whoever is above you");
  }
  v1::Absence after = before;
  after.set_status(status);
  after.set_decider_id(call.principal.user_id);
  after.set_decision_note(request.note());
  *after.mutable_decide_time() = ToTimestamp(call.now());
  pg::Touch(call, before, after);
  std::vector<Notice> notices;
  if (after.owner_id() != call.principal.user_id) notices.push_back(ToPerson(call, after));
  co_return co_await StoreAbsence(app, call, std::move(before), std::move(after), type::v1::ACTION_ADMINISTER,
                                  std::move(notices));
}

}  // namespace crm::scheduler
