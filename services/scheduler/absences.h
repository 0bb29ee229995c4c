// What writing and showing an absence has in common.
#pragma once

#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "crm/scheduler/v1/calendar.pb.h"
#include "services/scheduler/notices.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// An absence is at most this long: longer ones are no absence but an end.
inline constexpr int kAbsenceDaysMax = 366;

absl::Status CheckAbsence(const v1::Absence& absence);

// Stores a changed absence with its event and notices; `action` guards it.
Async<v1::Absence> StoreAbsence(App& app, Call& call, v1::Absence before, v1::Absence after, type::v1::Action action,
                                std::vector<Notice> notices);

// With what it collides with, and how many open tasks come due meanwhile. Whose absence the caller may not read is named
// without its id.
Async<v1::Absence> ShownAbsence(App& app, const Call& call, v1::Absence absence);

// Tells the nearest head of a request or an illness.
Async<std::vector<Notice>> ToHead(App& app, const Call& call, v1::Absence absence);
// Tells the person of a decision.
Notice ToPerson(const Call& call, const v1::Absence& absence);

}  // namespace crm::scheduler
