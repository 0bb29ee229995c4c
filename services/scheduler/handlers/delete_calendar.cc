#include "services/scheduler/handlers/change_calendar.h"

namespace crm::scheduler {

// Deletes a calendar; the one above counts from then on.
Async<v1::Calendar> CalendarService::DeleteCalendar(Call& call, const v1::DeleteCalendarRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, calendars_, request.id(), request.etag()));
  co_return co_await StoreCalendar(app_, call, change.before, change.after);
}

}  // namespace crm::scheduler
