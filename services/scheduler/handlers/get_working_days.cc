#include <set>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/people.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

namespace days {

constexpr int kUsual = 7;

}  // namespace days

// A person's days: shifts, holidays, absences. That somebody is away everyone may see; which absence it is, who may read it.
Async<v1::WorkingDays> CalendarService::GetWorkingDays(Call& call, const v1::GetWorkingDaysRequest& request) {
  const std::string user_id = request.user_id().empty() ? call.principal.user_id : request.user_id();
  CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app_, call, user_id));
  CRM_CO_TRY(absl::Time now, co_await DueNow(db_, call));
  absl::CivilDay first = LocalDay(now, calendar.zone);
  if (!request.from_date().empty()) {
    auto day = ParseDate(request.from_date());
    if (!day.ok()) co_return FieldError("from_date", "is a day that no calendar has");
    first = *day;
  }
  std::vector<std::string> ids;
  for (const AwaySpan& away : calendar.away) ids.push_back(away.absence_id);
  std::set<std::string> readable;
  if (!ids.empty()) {
    CRM_CO_TRY(std::vector<v1::Absence> absences, co_await db_.BatchGet(call, app_.tables.absences, ids));
    for (const v1::Absence& absence : absences) readable.insert(absence.id());
  }
  v1::WorkingDays answer;
  answer.set_time_zone(calendar.zone_name);
  const int count = request.days() == 0 ? days::kUsual : request.days();
  for (int i = 0; i < count; ++i) {
    const absl::CivilDay day = first + i;
    v1::WorkingDay& out = *answer.add_days();
    out.set_date(DateText(day));
    for (const Span& span : calendar.On(day)) {
      v1::Stretch& stretch = *out.add_stretches();
      stretch.set_start(ClockText(span.begin));
      stretch.set_end(ClockText(span.end));
    }
    out.set_working_minutes(static_cast<int>(absl::ToInt64Minutes(WorkingTimeOf(calendar, day))));
    auto special = calendar.special.find(day);
    if (special != calendar.special.end()) out.set_holiday(special->second.name);
    const AwaySpan* away = calendar.AwayOn(day);
    if (away != nullptr && readable.contains(away->absence_id)) out.set_absence_id(away->absence_id);
  }
  co_return answer;
}

}  // namespace crm::scheduler
