#include "common/base/time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "tests/unit/common/base/seed.h"

namespace crm {
namespace {

TEST(TimeTest, ReadsRfc3339) {
  for (const auto& [text, utc] : std::initializer_list<std::pair<const char*, const char*>>{
           {"2026-11-23T10:15:00Z", "2026-11-23T10:15:00Z"},
           {"2026-11-23t10:15:00.25z", "2026-11-23T10:15:00.250Z"},
           {"2026-11-23T10:15:00.123456Z", "2026-11-23T10:15:00.123456Z"},
           {"2026-11-23T10:15:00.123456789Z", "2026-11-23T10:15:00.123456Z"},
           {"2026-11-23T10:15:00+05:30", "2026-11-23T04:45:00Z"},
           {"2026-01-01T00:15:00+01:00", "2025-12-31T23:15:00Z"},
           {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z"},
           {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
           {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
           {"2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00Z"},
       }) {
    auto time = ParseTime(text);
    ASSERT_TRUE(time.ok()) << text << time.status();
    EXPECT_EQ(TimeText(*time), utc);
  }
}

TEST(TimeTest, RefusesTheRest) {
  for (const char* text : {"",
                           "2026-11-23",
                           "2026-11-23T10:15:00",
                           "2026-11-23 10:15:00Z",
                           "2026-11-23T10:15Z",
                           "2026-11-23T24:00:00Z",
                           "2026-11-23T10:60:00Z",
                           "2026-02-30T10:00:00Z",
                           "2026-13-01T10:00:00Z",
                           "2026-00-10T10:00:00Z",
                           "0000-01-01T00:00:00Z",
                           "10000-01-01T00:00:00Z",
                           "0001-01-01T00:00:00+01:00",
                           "9999-12-31T23:59:59-01:00",
                           "2026-11-23T10:15:00.Z",
                           "2026-11-23T10:15:00.1234567890Z",
                           "2026-11-23T10:15:00+0100",
                           "2026-11-23T10:15:00+24:00",
                           "2026-11-23T10:15:00Z ",
                           " 2026-11-23T10:15:00Z",
                           "infinite-future",
                           "now",
                           "2026-11-23T10:15:00ZZ",
                           "-2026-11-23T10:15:00Z"}) {
    auto time = ParseTime(text);
    ASSERT_FALSE(time.ok()) << text;
    EXPECT_EQ(ReasonOf(time.status()), type::v1::ERROR_REASON_FIELD_INVALID) << text;
  }
}

TEST(TimePropertyTest, TextAndTimestampKeepMicroseconds) {
  auto random = SeededRandom();
  const int64_t first = absl::ToUnixMicros(*ParseTime("0001-01-01T00:00:00Z"));
  const int64_t last = absl::ToUnixMicros(*ParseTime("9999-12-31T23:59:59.999999Z"));
  std::uniform_int_distribution<int64_t> micros(first, last);
  for (int i = 0; i < 5'000; ++i) {
    const absl::Time time = absl::FromUnixMicros(micros(random)) + absl::Nanoseconds(random() % 1000);
    const absl::Time cut = absl::FromUnixMicros(absl::ToUnixMicros(time));
    auto read = ParseTime(TimeText(time));
    ASSERT_TRUE(read.ok()) << TimeText(time);
    ASSERT_EQ(*read, cut);
    const auto timestamp = ToTimestamp(time);
    ASSERT_GE(timestamp.nanos(), 0);
    ASSERT_LT(timestamp.nanos(), 1'000'000'000);
    ASSERT_EQ(FromTimestamp(timestamp), cut);
    const absl::CivilDay day = LocalDay(time, absl::UTCTimeZone());
    ASSERT_EQ(*ParseDate(DateText(day)), day);
  }
}

TEST(DateTest, ReadsDaysAndDaysWithoutYear) {
  EXPECT_EQ(DateText(*ParseDate("2026-11-23")), "2026-11-23");
  EXPECT_EQ(DateText(*ParseDate("0001-01-01")), "0001-01-01");
  for (const char* text : {"", "2026-11-31", "2023-02-29", "2026-1-1", "0000-01-01", "2026/11/23", "2026-11-23T",
                           "23.11.2026", "+026-11-23", "--05-03"}) {
    EXPECT_FALSE(ParseDate(text).ok()) << text;
  }
  EXPECT_EQ(*ParsePartialDate("1984-05-03"), (PartialDate{1984, 5, 3}));
  EXPECT_EQ(*ParsePartialDate("--05-03"), (PartialDate{std::nullopt, 5, 3}));
  EXPECT_EQ(*ParsePartialDate("--02-29"), (PartialDate{std::nullopt, 2, 29}));
  for (const char* text : {"1984-05-03", "--05-03", "--12-31", "0987-01-01"}) {
    EXPECT_EQ(ParsePartialDate(text)->ToString(), text);
  }
  for (const char* text : {"--02-30", "--13-01", "--5-3", "05-03", "--05-03Z", "1984-05", ""}) {
    EXPECT_FALSE(ParsePartialDate(text).ok()) << text;
  }
}

TEST(ZoneTest, KnowsIanasNamesOnly) {
  for (const char* name :
       {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Jerusalem", "Etc/GMT+5", "Asia/Calcutta"}) {
    EXPECT_TRUE(IsZone(name)) << name;
    EXPECT_TRUE(FindZone(name).ok()) << name;
  }
  for (const char* name :
       {"", "Europe/Atlantis", "europe/berlin", "../../etc/passwd", "/etc/localtime", "localtime", "posix/UTC",
        "right/UTC", "UTC+1", "+01:00", "file:/etc/passwd", "Factory", "libc:localtime"}) {
    EXPECT_FALSE(IsZone(name)) << name;
  }
  auto zone = FindZone("Mars/Base", "user.time_zone");
  EXPECT_EQ(ViolationsOf(zone.status()).at(0).field, "user.time_zone");
  EXPECT_EQ(ZoneOrUtc("Mars/Base"), absl::UTCTimeZone());
}

TEST(ZoneTest, SummerTimeGoesOnAfter2037) {
  const auto berlin = ZoneOrUtc("Europe/Berlin");
  EXPECT_EQ(TimeText(StartOfDay(absl::CivilDay(2026, 7, 1), berlin)), "2026-06-30T22:00:00Z");
  EXPECT_EQ(TimeText(StartOfDay(absl::CivilDay(2045, 7, 1), berlin)), "2045-06-30T22:00:00Z");
  EXPECT_EQ(TimeText(StartOfDay(absl::CivilDay(2045, 1, 1), berlin)), "2044-12-31T23:00:00Z");
}

TEST(ZoneTest, DaysWhoseMidnightIsMissingOrTwice) {
  // Clocks went from 00:00 to 01:00.
  EXPECT_EQ(TimeText(StartOfDay(absl::CivilDay(2018, 11, 4), ZoneOrUtc("America/Sao_Paulo"))), "2018-11-04T03:00:00Z");
  // Clocks went from 01:00 back to 00:00: the first midnight counts.
  EXPECT_EQ(TimeText(StartOfDay(absl::CivilDay(2020, 11, 1), ZoneOrUtc("America/Havana"))), "2020-11-01T04:00:00Z");
  // The day that Samoa skipped is empty.
  const auto apia = ZoneOrUtc("Pacific/Apia");
  EXPECT_EQ(StartOfDay(absl::CivilDay(2011, 12, 30), apia), StartOfDay(absl::CivilDay(2011, 12, 31), apia));
}

TEST(PeriodTest, StartsStepsAndNames) {
  const absl::CivilDay day(2026, 11, 26);  // a Thursday
  struct Case {
    Period period;
    const char *start, *next, *back3, *name;
  };
  for (const auto& c : {Case{Period::kDay, "2026-11-26", "2026-11-27", "2026-11-23", "2026-11-26"},
                        Case{Period::kWeek, "2026-11-23", "2026-11-30", "2026-11-02", "2026-W48"},
                        Case{Period::kMonth, "2026-11-01", "2026-12-01", "2026-08-01", "2026-11"},
                        Case{Period::kQuarter, "2026-10-01", "2027-01-01", "2026-01-01", "2026-Q4"},
                        Case{Period::kYear, "2026-01-01", "2027-01-01", "2023-01-01", "2026"}}) {
    EXPECT_EQ(DateText(PeriodStart(day, c.period)), c.start);
    EXPECT_EQ(DateText(AddPeriods(day, c.period, 1)), c.next);
    EXPECT_EQ(DateText(AddPeriods(day, c.period, -3)), c.back3);
    EXPECT_EQ(PeriodName(day, c.period), c.name);
  }
  // ISO weeks at the turn of the year.
  EXPECT_EQ(PeriodName(absl::CivilDay(2027, 1, 3), Period::kWeek), "2026-W53");
  EXPECT_EQ(PeriodName(absl::CivilDay(2027, 1, 4), Period::kWeek), "2027-W01");
  EXPECT_EQ(PeriodName(absl::CivilDay(2024, 12, 30), Period::kWeek), "2025-W01");
  EXPECT_EQ(DateText(PeriodStart(absl::CivilDay(2026, 11, 23), Period::kWeek)), "2026-11-23");
  EXPECT_EQ(DateText(PeriodStart(absl::CivilDay(2026, 11, 29), Period::kWeek)), "2026-11-23");
}

TEST(PeriodPropertyTest, BucketsTileTime) {
  auto random = SeededRandom();
  const char* zones[] = {"UTC",          "Europe/Berlin",  "America/Sao_Paulo", "America/Havana",
                         "Pacific/Apia", "Asia/Kathmandu", "Asia/Jerusalem"};
  for (int i = 0; i < 3'000; ++i) {
    const auto zone = ZoneOrUtc(zones[random() % std::size(zones)]);
    const absl::Time time = absl::FromUnixSeconds(static_cast<int64_t>(random() % 4'000'000'000));
    for (Period period : {Period::kDay, Period::kWeek, Period::kMonth, Period::kQuarter, Period::kYear}) {
      const Bucket bucket = BucketOf(time, period, zone);
      SCOPED_TRACE(TimeText(time) + " " + zone.name() + " " + PeriodName(bucket.first_day, period));
      ASSERT_LE(bucket.begin, time);
      ASSERT_LT(time, bucket.end);
      ASSERT_EQ(BucketOf(bucket.begin, period, zone).first_day, bucket.first_day);
      ASSERT_EQ(BucketOf(bucket.end, period, zone).begin, bucket.end);
      ASSERT_EQ(PeriodName(LocalDay(time, zone), period), PeriodName(bucket.first_day, period));
    }
  }
}

TEST(ClockTest, StandsStillUntilSet) {
  ManualClock clock(absl::FromUnixSeconds(1'000));
  const Clock& handed_in = clock;
  EXPECT_EQ(handed_in.Now(), absl::FromUnixSeconds(1'000));
  clock.Advance(absl::Milliseconds(1'500));
  EXPECT_EQ(handed_in.Now(), absl::FromUnixMillis(1'001'500));
  clock.Set(absl::FromUnixSeconds(5));
  EXPECT_EQ(handed_in.Now(), absl::FromUnixSeconds(5));
  EXPECT_LT(absl::AbsDuration(SystemClock().Now() - absl::Now()), absl::Minutes(1));
}

// Answers of the database's clock: each moves Now() as far as it proves necessary, and the machine's clock moves it nowhere.
TEST(ClockTest, GoesByTheDatabaseOnceItHasAnswered) {
  using std::chrono::seconds;
  ForgetTime();
  EXPECT_FALSE(TimeIsKnown());
  EXPECT_LT(absl::AbsDuration(Now() - absl::Now()), absl::Minutes(1));
  const auto steady = std::chrono::steady_clock::now();
  const absl::Time there = absl::Now() - absl::Hours(24);  // this machine is a day ahead
  // What Now() makes of the moment `steady`.
  auto at_steady = [&] { return Now() - absl::FromChrono(std::chrono::steady_clock::now() - steady); };
  auto near = [&](absl::Time time) { return absl::AbsDuration(at_steady() - time) < absl::Milliseconds(100); };
  LearnTime(steady - seconds(2), steady, there);  // read somewhere within two seconds
  EXPECT_TRUE(TimeIsKnown());
  EXPECT_TRUE(near(there + absl::Seconds(1))) << at_steady();
  LearnTime(steady - seconds(60), steady, there);  // a slow answer proves nothing new
  EXPECT_TRUE(near(there + absl::Seconds(1))) << at_steady();
  LearnTime(steady, steady, there);  // an exact one
  EXPECT_TRUE(near(there)) << at_steady();
  LearnTime(steady - seconds(1), steady, there - absl::Minutes(10));  // it was set back
  EXPECT_TRUE(near(there - absl::Minutes(10) + absl::Seconds(1))) << at_steady();
  LearnTime(steady, steady - seconds(1), there);  // cannot be
  EXPECT_TRUE(near(there - absl::Minutes(10) + absl::Seconds(1))) << at_steady();
  ForgetTime();
}

}  // namespace
}  // namespace crm
