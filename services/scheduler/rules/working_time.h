// Working time: pure arithmetic over a person's calendar as it is after all layers were put together (calendars.h).
//
// A moment is working time when the clock on the wall, in the calendar's zone, stands within a stretch of that day. Where
// clocks are turned that is exact: of a stretch over the hour that is skipped nothing is worked in it, and an hour that comes
// twice counts twice. Zones are IANA's, by Abseil.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crm/scheduler/v1/calendar.pb.h"

namespace crm::scheduler {

// Minutes of the day by the clock on the wall: [begin, end), 0 to 1440.
struct Span {
  int begin = 0;
  int end = 0;
  bool operator==(const Span&) const = default;
};
using Spans = std::vector<Span>;  // in order, not touching

struct AwaySpan {
  absl::CivilDay first, last;  // both included
  std::string absence_id;
  std::string substitute_id;
};

struct WorkCalendar {
  struct Special {
    std::string name;
    Spans spans;  // empty: nobody works
  };
  absl::TimeZone zone = absl::UTCTimeZone();
  std::string zone_name = "UTC";
  std::array<Spans, 7> week;  // Monday first
  std::map<absl::CivilDay, Special> special;
  std::vector<AwaySpan> away;  // absences that hold

  // When the person works on that day.
  Spans On(absl::CivilDay day) const;
  // The absence that covers the day, or null.
  const AwaySpan* AwayOn(absl::CivilDay day) const;
};

// How far ahead working time is looked for.
inline constexpr absl::Duration kHorizon = absl::Hours(24 * 366 * 10);

// Reads "09:00" to "18:00" into minutes; the patterns of the proto hold.
Span SpanOf(const std::string& start, const std::string& end);
std::string ClockText(int minutes);
// Sorted, overlapping and touching ones made one.
Spans Normal(Spans spans);

// INVALID_ARGUMENT where a stretch ends before it begins; `field` names the list.
absl::Status CheckShifts(const google::protobuf::RepeatedPtrField<v1::Shift>& shifts, const std::string& field);
absl::Status CheckHolidays(const google::protobuf::RepeatedPtrField<v1::Holiday>& holidays, const std::string& field);

// What one calendar says; the layers of a person from the nearest (user) to the farthest (tenant).
struct Layer {
  std::string time_zone;
  google::protobuf::RepeatedPtrField<v1::Shift> shifts;
  google::protobuf::RepeatedPtrField<v1::Holiday> holidays;
};
// Zone and week of the nearest layer that has them, holidays of all, the nearest first. Without any: UTC, Monday to Friday, 9
// to 18.
WorkCalendar CalendarOfLayers(const std::vector<Layer>& layers);

// The first working moment at or after `start`; nullopt if there is none within the horizon.
std::optional<absl::Time> NextWorkingMoment(const WorkCalendar& calendar, absl::Time start);
// The moment at which `duration` of working time has passed since `start`: the end of a stretch rather than the beginning of
// the next one. For zero or less: NextWorkingMoment.
std::optional<absl::Time> AddWorkingTime(const WorkCalendar& calendar, absl::Time start, absl::Duration duration);
// Working time from `begin` to `end`; zero if `end` is not later. What lies beyond the horizon does not count.
absl::Duration WorkingTimeBetween(const WorkCalendar& calendar, absl::Time begin, absl::Time end);
// The working time of one day.
absl::Duration WorkingTimeOf(const WorkCalendar& calendar, absl::CivilDay day);
// The length of the usual day: a week's working time over its working days; zero without any.
absl::Duration UsualDay(const WorkCalendar& calendar);

}  // namespace crm::scheduler
