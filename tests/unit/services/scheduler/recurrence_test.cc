#include "services/scheduler/rules/recurrence.h"

#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/base/time.h"

namespace crm::scheduler {
namespace {

std::string Nth(const std::string& rrule, const std::string& first, const std::string& zone, int n) {
  const absl::TimeZone there = *FindZone(zone);
  absl::CivilSecond local;
  EXPECT_TRUE(absl::ParseLenientCivilTime(first, &local));
  const auto found = Occurrence(rrule, absl::FromCivil(local, there), there, n);
  return found ? absl::FormatTime("%Y-%m-%d %H:%M %z", *found, there) : "none";
}

TEST(RecurrenceTest, KeepsTheTimeOnTheWallOverTheTurnOfTheClocks) {
  EXPECT_EQ(Nth("FREQ=WEEKLY", "2026-10-19T09:00:00", "Europe/Berlin", 1), "2026-10-19 09:00 +0200");
  EXPECT_EQ(Nth("FREQ=WEEKLY", "2026-10-19T09:00:00", "Europe/Berlin", 2), "2026-10-26 09:00 +0100");
  EXPECT_EQ(Nth("FREQ=DAILY", "2026-03-06T02:30:00", "America/New_York", 3),
            "2026-03-08 03:30 -0400");  // 02:30 is skipped
}

TEST(RecurrenceTest, CountsAsTheRuleSays) {
  EXPECT_EQ(Nth("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=3", "2026-11-23T10:00:00", "UTC", 2), "2026-11-26 10:00 +0000");
  EXPECT_EQ(Nth("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=3", "2026-11-23T10:00:00", "UTC", 3), "2026-11-30 10:00 +0000");
  EXPECT_EQ(Nth("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=3", "2026-11-23T10:00:00", "UTC", 4), "none");
  // The first one counts although it is no Thursday.
  EXPECT_EQ(Nth("FREQ=WEEKLY;BYDAY=TH;COUNT=2", "2026-11-23T10:00:00", "UTC", 2), "2026-11-26 10:00 +0000");
  EXPECT_EQ(Nth("FREQ=WEEKLY;BYDAY=TH;COUNT=2", "2026-11-23T10:00:00", "UTC", 3), "none");
  EXPECT_EQ(Nth("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31T12:00:00", "Asia/Jerusalem", 2), "2026-02-28 12:00 +0200");
  EXPECT_EQ(Nth("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2024-02-29T12:00:00", "UTC", 2), "2028-02-29 12:00 +0000");
}

TEST(RecurrenceTest, EndsAtADayOrAMoment) {
  EXPECT_EQ(Nth("FREQ=DAILY;UNTIL=20261124", "2026-11-23T23:00:00", "America/New_York", 2), "2026-11-24 23:00 -0500");
  EXPECT_EQ(Nth("FREQ=DAILY;UNTIL=20261124", "2026-11-23T23:00:00", "America/New_York", 3), "none");
  EXPECT_EQ(Nth("FREQ=DAILY;UNTIL=20261125T035959Z", "2026-11-23T23:00:00", "America/New_York", 2), "none");
  EXPECT_EQ(Nth("FREQ=DAILY;UNTIL=20261125T040000Z", "2026-11-23T23:00:00", "America/New_York", 2),
            "2026-11-24 23:00 -0500");
}

TEST(RecurrenceTest, NeverRunsAway) {
  EXPECT_EQ(Nth("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01T00:00:00", "UTC", 2), "none");
  EXPECT_EQ(Nth("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01T00:00:00", "UTC", 2), "none");
  EXPECT_EQ(Nth("FREQ=DAILY", "2026-01-01T00:00:00", "UTC", kOccurrencesMax + 1), "none");
}

TEST(RecurrenceTest, RefusesWhatIsNoRuleOrTooOften) {
  for (const char* good : {"FREQ=HOURLY", "FREQ=HOURLY;BYDAY=MO,TU;BYHOUR=9,10", "FREQ=DAILY;COUNT=1000",
                           "FREQ=WEEKLY;BYDAY=MO;UNTIL=20301231", "FREQ=MONTHLY;BYDAY=-1FR", "freq=daily"}) {
    EXPECT_TRUE(CheckRecurrence(good, "task.recurrence").ok()) << good;
  }
  for (const char* bad : {"", "DAILY", "FREQ=SOMETIMES", "FREQ=HOURLY;\x01X=1", "FREQ=HOURLY;\xff=1",
                          "FREQ=SECONDLY;COUNT=5", "FREQ=MINUTELY", "FREQ=DAILY;BYMINUTE=0,30", "FREQ=DAILY;BYSECOND=1",
                          "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=1001", "FREQ=DAILY;COUNT=2;UNTIL=20301231",
                          "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=100000", "FREQ=HOURLY;BYMONTHDAY=31",
                          "FREQ=HOURLY;INTERVAL=2;BYHOUR=9", "FREQ=DAILY;BYDAY=XX", "FREQ=WEEKLY;NONSENSE=1"}) {
    const absl::Status refused = CheckRecurrence(bad, "task.recurrence");
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(ViolationsOf(refused)[0].field, "task.recurrence");
  }
}

}  // namespace
}  // namespace crm::scheduler
