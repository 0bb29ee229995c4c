// Working time against an evaluator that asks minute by minute, over the turns of clocks in three zones.
#include "services/scheduler/rules/working_time.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "common/base/error.h"
#include "common/base/time.h"
#include "tests/unit/common/base/seed.h"

namespace crm::scheduler {
namespace {

absl::TimeZone Zone(const std::string& name) { return *FindZone(name); }

absl::Time At(const std::string& text) { return *ParseTime(text); }

absl::Time Local(const WorkCalendar& calendar, absl::CivilMinute minute) {
  return absl::FromCivil(absl::CivilSecond(minute), calendar.zone);
}

WorkCalendar Usual(const std::string& zone) {
  Layer layer;
  layer.time_zone = zone;
  std::vector<Layer> layers(1, layer);
  return CalendarOfLayers(layers);
}

// Whether the minute that begins at `time` is worked.
bool WorkedMinute(const WorkCalendar& calendar, absl::Time time) {
  const absl::CivilMinute local = absl::ToCivilMinute(time, calendar.zone);
  const int minute = local.hour() * 60 + local.minute();
  for (const Span& span : calendar.On(absl::CivilDay(local))) {
    if (span.begin <= minute && minute < span.end) return true;
  }
  return false;
}

absl::Duration NaiveBetween(const WorkCalendar& calendar, absl::Time begin, absl::Time end) {
  int minutes = 0;
  for (absl::Time time = begin; time < end; time += absl::Minutes(1)) minutes += WorkedMinute(calendar, time);
  return absl::Minutes(minutes);
}

std::optional<absl::Time> NaiveAdd(const WorkCalendar& calendar, absl::Time start, int minutes, absl::Time limit) {
  for (absl::Time time = start; time < limit; time += absl::Minutes(1)) {
    if (!WorkedMinute(calendar, time)) continue;
    if (minutes == 0) return time;
    if (--minutes == 0) return time + absl::Minutes(1);
  }
  return std::nullopt;
}

TEST(WorkingTimeTest, AgreesWithTheMinutesAroundEveryTurnOfTheClocks) {
  auto random = SeededRandom();
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  struct Turn {
    const char* zone;
    absl::CivilDay day;
  };
  const std::vector<Turn> turns = {
      {"Europe/Berlin", absl::CivilDay(2026, 3, 29)},      {"Europe/Berlin", absl::CivilDay(2026, 10, 25)},
      {"Asia/Jerusalem", absl::CivilDay(2026, 3, 27)},     {"Asia/Jerusalem", absl::CivilDay(2026, 10, 25)},
      {"America/New_York", absl::CivilDay(2026, 3, 8)},    {"America/New_York", absl::CivilDay(2026, 11, 1)},
      {"America/Santiago", absl::CivilDay(2026, 4, 5)},     // midnight comes twice
      {"America/Santiago", absl::CivilDay(2026, 9, 6)},     // midnight is skipped
      {"Australia/Lord_Howe", absl::CivilDay(2026, 4, 5)},  // by half an hour
      {"Asia/Tokyo", absl::CivilDay(2026, 5, 5)},           // never
  };
  for (int round = 0; round < 300; ++round) {
    const Turn& turn = turns[static_cast<size_t>(pick(0, static_cast<int>(turns.size()) - 1))];
    WorkCalendar calendar;
    calendar.zone = Zone(turn.zone);
    for (Spans& spans : calendar.week) {
      for (int i = pick(0, 3); i > 0; --i) {
        const int begin = pick(0, 23) * 60 + pick(0, 3) * 15;
        spans.push_back({begin, std::min(1440, begin + pick(1, 40) * 15)});
      }
      spans = Normal(std::move(spans));
    }
    if (pick(0, 2) == 0) calendar.special[turn.day + pick(-1, 1)] = {"", {{pick(0, 4) * 30, 6 * 60}}};
    if (pick(0, 3) == 0) {
      AwaySpan away;
      away.first = away.last = turn.day + pick(-2, 2);
      calendar.away.push_back(away);
    }
    const absl::Time start = StartOfDay(turn.day, calendar.zone) + absl::Minutes(pick(-3 * 1440, 1440));
    const absl::Time end = start + absl::Minutes(pick(0, 4 * 1440));
    SCOPED_TRACE(absl::StrCat(turn.zone, " from ", TimeText(start), " to ", TimeText(end)));
    ASSERT_EQ(WorkingTimeBetween(calendar, start, end), NaiveBetween(calendar, start, end));
    const int minutes = pick(0, 30 * 60);
    const absl::Time limit = start + absl::Hours(24 * 12);
    const auto naive = NaiveAdd(calendar, start, minutes, limit);
    const auto found = AddWorkingTime(calendar, start, absl::Minutes(minutes));
    if (naive) {
      ASSERT_EQ(found, naive) << minutes << " minutes";
    } else {
      ASSERT_TRUE(!found || *found >= limit);
    }
    ASSERT_EQ(WorkingTimeOf(calendar, turn.day),
              NaiveBetween(calendar, StartOfDay(turn.day, calendar.zone), StartOfDay(turn.day + 1, calendar.zone)));
  }
}

TEST(WorkingTimeTest, EndsADayRatherThanBeginningTheNext) {
  const WorkCalendar calendar = Usual("Europe/Berlin");
  // Friday at five: two hours are one today and one on Monday.
  const absl::Time friday = Local(calendar, absl::CivilMinute(2026, 11, 20, 17, 0));
  EXPECT_EQ(AddWorkingTime(calendar, friday, absl::Hours(1)), Local(calendar, absl::CivilMinute(2026, 11, 20, 18, 0)));
  EXPECT_EQ(AddWorkingTime(calendar, friday, absl::Hours(2)), Local(calendar, absl::CivilMinute(2026, 11, 23, 10, 0)));
  EXPECT_EQ(NextWorkingMoment(calendar, Local(calendar, absl::CivilMinute(2026, 11, 21, 12, 0))),
            Local(calendar, absl::CivilMinute(2026, 11, 23, 9, 0)));
  EXPECT_EQ(NextWorkingMoment(calendar, friday), friday);
  EXPECT_EQ(WorkingTimeBetween(calendar, friday, friday - absl::Hours(9)), absl::ZeroDuration());
  EXPECT_EQ(UsualDay(calendar), absl::Hours(9));
}

TEST(WorkingTimeTest, CountsTheHourThatComesTwiceAndNotTheOneThatIsSkipped) {
  WorkCalendar night;
  night.zone = Zone("Europe/Berlin");
  for (Spans& spans : night.week) spans = {{0, 6 * 60}};
  EXPECT_EQ(WorkingTimeOf(night, absl::CivilDay(2026, 3, 28)), absl::Hours(6));
  EXPECT_EQ(WorkingTimeOf(night, absl::CivilDay(2026, 3, 29)), absl::Hours(5));
  EXPECT_EQ(WorkingTimeOf(night, absl::CivilDay(2026, 10, 25)), absl::Hours(7));
}

TEST(WorkingTimeTest, GivesUpWhereNobodyEverWorks) {
  WorkCalendar calendar;
  EXPECT_EQ(NextWorkingMoment(calendar, At("2026-11-23T10:00:00Z")), std::nullopt);
  EXPECT_EQ(AddWorkingTime(calendar, At("2026-11-23T10:00:00Z"), absl::Minutes(1)), std::nullopt);
  EXPECT_EQ(WorkingTimeBetween(calendar, At("2026-11-23T10:00:00Z"), At("2027-11-23T10:00:00Z")), absl::ZeroDuration());
}

TEST(WorkingTimeTest, TakesTheNearestZoneAndWeekAndEverybodysHolidays) {
  std::vector<Layer> layers(3);
  layers[0].time_zone = "Asia/Jerusalem";
  v1::Holiday& short_day = *layers[0].holidays.Add();
  short_day.set_date("2026-12-24");
  v1::Stretch& morning = *short_day.add_stretches();
  morning.set_start("09:00");
  morning.set_end("12:00");
  v1::Shift& sunday = *layers[1].shifts.Add();
  sunday.set_weekday(7);
  sunday.set_start("08:00");
  sunday.set_end("16:00");
  layers[2].time_zone = "Europe/Berlin";
  v1::Shift& monday = *layers[2].shifts.Add();
  monday.set_weekday(1);
  monday.set_start("09:00");
  monday.set_end("18:00");
  for (const char* day : {"2026-12-24", "2026-12-27"}) {
    v1::Holiday& holiday = *layers[2].holidays.Add();
    holiday.set_date(day);
    holiday.set_name("Closed");
  }
  const WorkCalendar calendar = CalendarOfLayers(layers);
  EXPECT_EQ(calendar.zone_name, "Asia/Jerusalem");
  EXPECT_EQ(calendar.On(absl::CivilDay(2026, 11, 22)), (Spans{{8 * 60, 16 * 60}}));  // a Sunday
  EXPECT_EQ(calendar.On(absl::CivilDay(2026, 11, 23)), Spans{});                     // a Monday
  EXPECT_EQ(calendar.On(absl::CivilDay(2026, 12, 24)), (Spans{{9 * 60, 12 * 60}}));  // the user's, not the company's
  EXPECT_EQ(calendar.On(absl::CivilDay(2026, 12, 27)), Spans{});                     // a Sunday, but a holiday
}

TEST(WorkingTimeTest, RefusesStretchesThatEndBeforeTheyBegin) {
  google::protobuf::RepeatedPtrField<v1::Shift> shifts;
  v1::Shift& shift = *shifts.Add();
  shift.set_weekday(1);
  shift.set_start("22:00");
  shift.set_end("06:00");
  const absl::Status refused = CheckShifts(shifts, "calendar.shifts");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(ViolationsOf(refused)[0].field, "calendar.shifts[0].end");
  google::protobuf::RepeatedPtrField<v1::Holiday> holidays;
  holidays.Add()->set_date("2026-02-29");
  EXPECT_EQ(ViolationsOf(CheckHolidays(holidays, "calendar.holidays"))[0].field, "calendar.holidays[0].date");
  holidays[0].set_date("2026-02-28");
  holidays.Add()->set_date("2026-02-28");
  EXPECT_EQ(ViolationsOf(CheckHolidays(holidays, "calendar.holidays"))[0].field, "calendar.holidays[1].date");
}

}  // namespace
}  // namespace crm::scheduler
