#include <algorithm>
#include <set>

#include "services/scheduler/handlers/change_calendar.h"
#include "services/scheduler/rules/holidays.h"

namespace crm::scheduler {

namespace importing {

constexpr int kYearsMax = 10;
constexpr int kHolidaysMax = 1000;  // as the proto says

}  // namespace importing

// Adds a country's public holidays; days that the calendar has already stay as they are.
Async<v1::Calendar> CalendarService::ImportHolidays(Call& call, const v1::ImportHolidaysRequest& request) {
  const int last = request.to_year() == 0 ? request.from_year() : request.to_year();
  if (last < request.from_year() || last >= request.from_year() + importing::kYearsMax) {
    co_return FieldError("to_year", "must be from_year or at most nine years later");
  }
  if (HolidaySourceOf(request.country_code()).empty()) {
    co_return FieldError("country_code", absl::StrCat("there are no rules for ", request.country_code(),
                                                      "; GET /v1/holiday_presets lists the countries"));
  }
  CRM_CO_TRY(v1::Calendar before, co_await db_.Get(call, calendars_, request.id()));
  CRM_CO_TRY(pg::CheckEtag(before, request.etag()));
  v1::Calendar after = before;
  std::set<std::string> there;
  for (const v1::Holiday& holiday : before.holidays()) there.insert(holiday.date());
  for (int year = request.from_year(); year <= last; ++year) {
    for (v1::Holiday& holiday : PublicHolidays(request.country_code(), year)) {
      if (there.insert(holiday.date()).second) *after.add_holidays() = std::move(holiday);
    }
  }
  if (after.holidays_size() > importing::kHolidaysMax) {
    co_return FieldError("to_year", "the calendar would have more than 1000 holidays; remove old ones first");
  }
  std::sort(after.mutable_holidays()->begin(), after.mutable_holidays()->end(),
            [](const v1::Holiday& a, const v1::Holiday& b) { return a.date() < b.date(); });
  pg::Touch(call, before, after);
  co_return co_await StoreCalendar(app_, call, before, after);
}

}  // namespace crm::scheduler
