#include "services/scheduler/rules/holidays.h"

#include <unicode/calendar.h>
#include <unicode/gregocal.h>

#include <map>
#include <memory>

#include "common/base/time.h"
#include "services/scheduler/rules/holiday_rules.h"

namespace crm::scheduler {

namespace presets {

bool IsWeekend(absl::CivilDay day) {
  const absl::Weekday weekday = absl::GetWeekday(day);
  return weekday == absl::Weekday::saturday || weekday == absl::Weekday::sunday;
}

absl::CivilDay NthWeekday(int year, int month, int n, int weekday) {
  const auto wanted = static_cast<absl::Weekday>(weekday - 1);  // both begin with Monday
  if (n == 5) return absl::PrevWeekday(absl::CivilDay(absl::CivilMonth(year, month) + 1), wanted);
  return absl::NextWeekday(absl::CivilDay(year, month, 1) - 1, wanted) + 7 * (n - 1);
}

// The Hebrew month (1 Tishri) and day of each day of the year.
std::map<std::pair<int, int>, absl::CivilDay> HebrewDays(int year) {
  std::map<std::pair<int, int>, absl::CivilDay> days;
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<icu::Calendar> hebrew(
      icu::Calendar::createInstance(*icu::TimeZone::getGMT(), icu::Locale("he_IL@calendar=hebrew"), error));
  if (U_FAILURE(error)) return days;
  for (absl::CivilDay day(year, 1, 1); day.year() == year; ++day) {
    hebrew->setTime(static_cast<double>(day - absl::CivilDay(1970, 1, 1)) * 86'400'000.0 + 43'200'000.0, error);
    const int month = hebrew->get(UCAL_MONTH, error) + 1;
    const int date = hebrew->get(UCAL_DATE, error);
    if (U_FAILURE(error)) return {};
    days.emplace(std::pair(month, date), day);
  }
  return days;
}

// Israel's Independence Day is not celebrated on a day next to a Sabbath, nor on a Monday, whose eve would prepare it.
absl::CivilDay IndependenceDay(absl::CivilDay day) {
  switch (absl::GetWeekday(day)) {
    case absl::Weekday::friday:
      return day - 1;
    case absl::Weekday::saturday:
      return day - 2;
    case absl::Weekday::monday:
      return day + 1;
    default:
      return day;
  }
}

}  // namespace presets

absl::CivilDay EasterSunday(int year) {
  const int a = year % 19, b = year / 100, c = year % 100, d = b / 4, e = b % 4, f = (b + 8) / 25;
  const int g = (b - f + 1) / 3, h = (19 * a + b - d - g + 15) % 30, i = c / 4, k = c % 4;
  const int l = (32 + 2 * e + 2 * i - h - k) % 7, m = (a + 11 * h + 22 * l) / 451;
  return absl::CivilDay(year, (h + l - 7 * m + 114) / 31, (h + l - 7 * m + 114) % 31 + 1);
}

std::vector<std::string> HolidayCountries() {
  std::vector<std::string> countries;
  for (const auto& source : kHolidaySources) countries.emplace_back(source.country);
  return countries;
}

std::string HolidaySourceOf(const std::string& country) {
  for (const auto& source : kHolidaySources) {
    if (country == source.country) return source.source;
  }
  return "";
}

std::vector<v1::Holiday> PublicHolidays(const std::string& country, int year) {
  std::map<absl::CivilDay, std::string> days;
  std::vector<std::pair<absl::CivilDay, const HolidayLine*>> moved;
  const auto hebrew = country == "IL" ? presets::HebrewDays(year) : std::map<std::pair<int, int>, absl::CivilDay>();
  for (const HolidayLine& line : kHolidayLines) {
    if (country != line.country) continue;
    absl::CivilDay day;
    switch (line.rule) {
      case HolidayRule::kFixed:
        day = absl::CivilDay(year, line.month, line.day);
        break;
      case HolidayRule::kEaster:
        day = EasterSunday(year) + line.day;
        break;
      case HolidayRule::kNth:
        day = presets::NthWeekday(year, line.month, line.day, line.weekday);
        break;
      case HolidayRule::kHebrew: {
        auto it = hebrew.find({line.month, line.day});
        if (it == hebrew.end()) continue;
        day = it->second;
        break;
      }
    }
    if (line.shift == HolidayShift::kIndependenceDay) day = presets::IndependenceDay(day);
    if (day.year() == year) days.emplace(day, line.name);
    if (presets::IsWeekend(day)) moved.emplace_back(day, &line);
  }
  for (const auto& [day, line] : moved) {
    absl::CivilDay observed = day;
    if (line->shift == HolidayShift::kNextWorkday) {
      while (presets::IsWeekend(observed) || days.contains(observed)) ++observed;
    } else if (line->shift == HolidayShift::kNearestWorkday) {
      observed = absl::GetWeekday(day) == absl::Weekday::saturday ? day - 1 : day + 1;
    }
    if (observed.year() == year) days.emplace(observed, line->name);
  }
  std::vector<v1::Holiday> holidays;
  for (const auto& [day, name] : days) {
    v1::Holiday& holiday = holidays.emplace_back();
    holiday.set_date(DateText(day));
    holiday.set_name(name);
  }
  return holidays;
}

}  // namespace crm::scheduler
