// What writing a calendar has in common.
#pragma once

#include <absl/strings/str_cat.h>

#include <string>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/rules/working_time.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

inline absl::Status CheckCalendar(const v1::Calendar& calendar) {
  if (calendar.name().empty()) return FieldError("calendar.name", "is needed");
  if (!calendar.user_id().empty() && !calendar.team_id().empty()) {
    return FieldError("calendar.team_id", "is set beside user_id; a calendar is a user's or a team's");
  }
  if (calendar.is_default() && !(calendar.user_id().empty() && calendar.team_id().empty())) {
    return FieldError("calendar.is_default",
                      "is set beside user_id or team_id; a calendar is one person's, a team's or everybody's");
  }
  if (!calendar.time_zone().empty() && !IsZone(calendar.time_zone())) {
    return FieldError("calendar.time_zone",
                      absl::StrCat(calendar.time_zone(), " is no IANA zone, such as Europe/Berlin"));
  }
  CRM_TRY(CheckShifts(calendar.shifts(), "calendar.shifts"));
  return CheckHolidays(calendar.holidays(), "calendar.holidays");
}

inline Async<v1::Calendar> StoreCalendar(App& app, Call& call, const v1::Calendar& before, const v1::Calendar& after) {
  const auto& calendars = app.tables.calendars;
  auto stored = co_await app.db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Calendar> {
    calendars.AddUpdate(batch, before, after);
    v1::CalendarUpdated event;
    *event.mutable_calendar() = after;
    pg::NewEvent about = pg::EventOf(calendars, "updated", after);
    about.changed_fields = pg::ChangedFields(before, after);
    batch.Emit(about, event);
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(app.db, call, calendars, stored.status(), after);
  co_return pg::Shown(call, calendars, *std::move(stored));
}

}  // namespace crm::scheduler
