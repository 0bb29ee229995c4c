#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/clock.h"
#include "services/scheduler/people.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Counts in a person's working time.
Async<v1::WorkingTime> CalendarService::ComputeWorkingTime(Call& call, const v1::ComputeWorkingTimeRequest& request) {
  const std::string user_id = request.user_id().empty() ? call.principal.user_id : request.user_id();
  CRM_CO_TRY(WorkCalendar calendar, co_await CalendarOf(app_, call, user_id));
  CRM_CO_TRY(absl::Time start, co_await DueNow(db_, call));
  if (request.has_start_time()) start = FromTimestamp(request.start_time());
  v1::WorkingTime answer;
  answer.set_time_zone(calendar.zone_name);
  const auto due = AddWorkingTime(calendar, start, absl::Minutes(request.minutes()));
  if (due) *answer.mutable_due_time() = ToTimestamp(*due);
  if (request.has_end_time()) {
    answer.set_working_minutes(
        static_cast<int>(absl::ToInt64Minutes(WorkingTimeBetween(calendar, start, FromTimestamp(request.end_time())))));
  }
  co_return answer;
}

}  // namespace crm::scheduler
