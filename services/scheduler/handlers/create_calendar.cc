#include "services/scheduler/handlers/change_calendar.h"
#include "services/scheduler/people.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

// Makes the calendar of a user, a team or the organisation, whose the first is that is nobody's.
Async<v1::Calendar> CalendarService::CreateCalendar(Call& call, const v1::CreateCalendarRequest& request) {
  v1::Calendar calendar = request.calendar();
  CRM_CO_TRY(CheckCalendar(calendar));
  if (!calendar.user_id().empty()) CRM_CO_TRY(co_await AwaitPerson(db_, call, calendar.user_id()));
  if (!calendar.team_id().empty()) CRM_CO_TRY(co_await AwaitTeam(db_, call, calendar.team_id()));
  if (calendar.user_id().empty() && calendar.team_id().empty() && !calendar.is_default()) {
    CRM_CO_TRY(pg::Rows there, co_await db_.Read(call, sql::kFindDefaultCalendar, pg::Params()));
    calendar.set_is_default(there.empty());
  }
  pg::StampNew(call, calendars_, calendar);
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Calendar> {
    batch.Insert(calendars_, calendar);
    v1::CalendarCreated event;
    *event.mutable_calendar() = calendar;
    batch.Emit(pg::EventOf(calendars_, "created", calendar), event);
    return calendar;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, calendars_, stored.status(), calendar);
  co_return pg::Shown(call, calendars_, *std::move(stored));
}

}  // namespace crm::scheduler
