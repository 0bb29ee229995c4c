#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Answers a calendar.
Async<v1::Calendar> CalendarService::GetCalendar(Call& call, const v1::GetCalendarRequest& request) {
  co_return co_await pg::GetShown(db_, call, calendars_, request.id());
}

}  // namespace crm::scheduler
