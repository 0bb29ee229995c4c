#include "common/pg/records.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Lists calendars.
Async<v1::ListCalendarsResponse> CalendarService::ListCalendars(Call& call, const v1::ListCalendarsRequest& request) {
  co_return co_await pg::ListReply<v1::ListCalendarsResponse>(db_, call, calendars_, request);
}

}  // namespace crm::scheduler
