// Public holidays of a country in a year, by the rules in holiday_rules.h.
#pragma once

#include <absl/time/civil_time.h>

#include <string>
#include <vector>

#include "crm/scheduler/v1/calendar.pb.h"

namespace crm::scheduler {

// The countries that there are rules for, in order.
std::vector<std::string> HolidayCountries();
// Where a country's rules come from; empty for one without.
std::string HolidaySourceOf(const std::string& country);
// The year's days in order, each once; empty for a country without rules. Observed days that weekends cause are included.
std::vector<v1::Holiday> PublicHolidays(const std::string& country, int year);

// Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher).
absl::CivilDay EasterSunday(int year);

}  // namespace crm::scheduler
