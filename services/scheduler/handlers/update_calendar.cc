#include "services/scheduler/handlers/change_calendar.h"

namespace crm::scheduler {

// Changes a calendar.
Async<v1::Calendar> CalendarService::UpdateCalendar(Call& call, const v1::UpdateCalendarRequest& request) {
  CRM_CO_TRY(v1::Calendar before, co_await db_.Get(call, calendars_, request.calendar().id()));
  CRM_CO_TRY(v1::Calendar after, pg::Patched(call, before, request.calendar(), request.update_mask(), request.etag()));
  CRM_CO_TRY(CheckCalendar(after));
  co_return co_await StoreCalendar(app_, call, before, after);
}

}  // namespace crm::scheduler
