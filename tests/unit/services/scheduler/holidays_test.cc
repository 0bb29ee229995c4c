#include "services/scheduler/rules/holidays.h"

#include <gmock/gmock.h>

#include "common/base/time.h"

namespace crm::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

std::vector<std::string> Days(const std::string& country, int year) {
  std::vector<std::string> days;
  for (const auto& holiday : PublicHolidays(country, year)) days.push_back(holiday.date());
  return days;
}

TEST(HolidaysTest, Easter) {
  EXPECT_EQ(EasterSunday(2024), absl::CivilDay(2024, 3, 31));
  EXPECT_EQ(EasterSunday(2025), absl::CivilDay(2025, 4, 20));
  EXPECT_EQ(EasterSunday(2026), absl::CivilDay(2026, 4, 5));
  EXPECT_EQ(EasterSunday(2038), absl::CivilDay(2038, 4, 25));  // as late as can be
  EXPECT_EQ(EasterSunday(2285), absl::CivilDay(2285, 3, 22));  // as early as can be
}

TEST(HolidaysTest, Germany) {
  EXPECT_THAT(Days("DE", 2026), ElementsAre("2026-01-01", "2026-04-03", "2026-04-06", "2026-05-01", "2026-05-14",
                                            "2026-05-25", "2026-10-03", "2026-12-25", "2026-12-26"));
}

TEST(HolidaysTest, IsraelByTheHebrewCalendar) {
  // 2026: Pesach 2 April, Independence Day 22 April (5 Iyar, a Wednesday), Rosh Hashana 12 September.
  EXPECT_THAT(Days("IL", 2026), ElementsAre("2026-04-02", "2026-04-08", "2026-04-22", "2026-05-22", "2026-09-12",
                                            "2026-09-13", "2026-09-21", "2026-09-26", "2026-10-03"));
  // 2024, a leap year of the Hebrew calendar: 5 Iyar is a Monday, so it is celebrated on Tuesday, 14 May.
  EXPECT_THAT(Days("IL", 2024), AllOf(Contains("2024-05-14"), Not(Contains("2024-05-13")), Contains("2024-04-23")));
  // 2025: 5 Iyar is a Saturday, so it is Thursday, 1 May.
  EXPECT_THAT(Days("IL", 2025), AllOf(Contains("2025-05-01"), Not(Contains("2025-05-03"))));
}

TEST(HolidaysTest, RussiaMovesWhatFallsOnAWeekend) {
  EXPECT_THAT(Days("RU", 2026), AllOf(Contains("2026-01-08"), Contains("2026-03-09"), Contains("2026-05-11"),
                                      Not(Contains("2026-02-24"))));
}

TEST(HolidaysTest, AmericaObservesTheNearestWorkday) {
  EXPECT_THAT(Days("US", 2026), AllOf(Contains("2026-07-03"), Contains("2026-07-04"), Contains("2026-11-26"),
                                      Contains("2026-05-25"), Contains("2026-01-19")));
  EXPECT_THAT(Days("US", 2027), Contains("2027-12-31"));  // New Year's Day of 2028 is a Saturday
}

TEST(HolidaysTest, EveryCountryHasASourceAndDaysInEveryYear) {
  for (const std::string& country : HolidayCountries()) {
    EXPECT_FALSE(HolidaySourceOf(country).empty());
    for (int year = 2000; year <= 2100; ++year) {
      const auto days = Days(country, year);
      EXPECT_GE(days.size(), 8u) << country << " " << year;
      EXPECT_TRUE(std::is_sorted(days.begin(), days.end()));
      for (const auto& day : days) EXPECT_EQ(ParseDate(day)->year(), year);
    }
  }
  EXPECT_TRUE(PublicHolidays("XX", 2026).empty());
}

}  // namespace
}  // namespace crm::scheduler
