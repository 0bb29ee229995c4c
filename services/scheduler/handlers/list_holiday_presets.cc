#include "common/base/error.h"
#include "common/base/time.h"
#include "services/scheduler/rules/holidays.h"
#include "services/scheduler/service.h"

namespace crm::scheduler {

// Answers a country's public holidays in a year.
Async<v1::ListHolidayPresetsResponse> CalendarService::ListHolidayPresets(
    Call& call, const v1::ListHolidayPresetsRequest& request) {
  v1::ListHolidayPresetsResponse response;
  for (const std::string& country : HolidayCountries()) response.add_country_codes(country);
  if (request.country_code().empty()) co_return response;
  response.set_source(HolidaySourceOf(request.country_code()));
  if (response.source().empty()) {
    co_return FieldError(
        "country_code", "there are no rules for this country; without a country the answer lists those that have some");
  }
  const int year =
      request.year() != 0 ? request.year() : static_cast<int>(LocalDay(call.now(), ZoneOrUtc(call.time_zone)).year());
  if (year < 2000) co_return FieldError("year", "must be 0 or from 2000 to 2100");
  for (v1::Holiday& holiday : PublicHolidays(request.country_code(), year))
    *response.add_holidays() = std::move(holiday);
  co_return response;
}

}  // namespace crm::scheduler
