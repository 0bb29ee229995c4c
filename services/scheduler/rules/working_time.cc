#include "services/scheduler/rules/working_time.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace crm::scheduler {

namespace working {

int WeekdayIndex(absl::CivilDay day) { return static_cast<int>(absl::GetWeekday(day)); }  // Monday is 0

// The moment at which the zone's offset changes next after `time`; InfiniteFuture if it never does.
absl::Time NextChange(const absl::TimeZone& zone, absl::Time time) {
  absl::TimeZone::CivilTransition change;
  if (!zone.NextTransition(time, &change)) return absl::InfiniteFuture();
  const auto from = zone.At(change.from);
  if (from.kind == absl::TimeZone::TimeInfo::SKIPPED) return from.trans;
  const auto to = zone.At(change.to);
  if (to.kind == absl::TimeZone::TimeInfo::REPEATED) return to.trans;
  return from.pre;  // another name for the same offset
}

// Calls `take(begin, end)` for each stretch of working time after `start`, in order, until it answers false or `until` is
// reached. Between two changes of the offset the clock on the wall runs evenly, so stretches are exact.
template <typename Take>
void ForEachStretch(const WorkCalendar& calendar, absl::Time start, absl::Time until, Take take) {
  absl::Time piece = start;
  while (piece < until) {
    const absl::Time piece_end = std::min(NextChange(calendar.zone, piece), until);
    const auto here = calendar.zone.At(piece);
    // The clock on the wall of this piece, as if it were UTC.
    const auto wall = [&](absl::CivilSecond second) {
      return absl::FromCivil(second, absl::UTCTimeZone()) - absl::Seconds(here.offset);
    };
    for (absl::CivilDay day(here.cs); wall(absl::CivilSecond(day)) < piece_end; ++day) {
      for (const Span& span : calendar.On(day)) {
        const absl::Time midnight = wall(absl::CivilSecond(day));
        const absl::Time begin = std::max(midnight + absl::Minutes(span.begin), piece);
        const absl::Time end = std::min(midnight + absl::Minutes(span.end), piece_end);
        if (begin < end && !take(begin, end)) return;
      }
    }
    piece = piece_end;
  }
}

absl::Status CheckSpan(const std::string& start, const std::string& end, const std::string& field) {
  const Span span = SpanOf(start, end);
  if (span.begin < span.end) return absl::OkStatus();
  return FieldError(field, absl::StrCat("ends at ", end, ", which is not after ", start,
                                        "; a stretch over midnight is two, until 24:00 and from 00:00"));
}

}  // namespace working

Spans WorkCalendar::On(absl::CivilDay day) const {
  if (AwayOn(day) != nullptr) return {};
  auto it = special.find(day);
  if (it != special.end()) return it->second.spans;
  return week[static_cast<size_t>(working::WeekdayIndex(day))];
}

const AwaySpan* WorkCalendar::AwayOn(absl::CivilDay day) const {
  for (const AwaySpan& span : away) {
    if (span.first <= day && day <= span.last) return &span;
  }
  return nullptr;
}

Span SpanOf(const std::string& start, const std::string& end) {
  const auto minutes = [](const std::string& text) {
    int hour = 0, minute = 0;
    if (text.size() != 5 || !absl::SimpleAtoi(text.substr(0, 2), &hour) ||
        !absl::SimpleAtoi(text.substr(3, 2), &minute)) {
      return 0;
    }
    return hour * 60 + minute;
  };
  return {minutes(start), minutes(end)};
}

std::string ClockText(int minutes) { return absl::StrFormat("%02d:%02d", minutes / 60, minutes % 60); }

Spans Normal(Spans spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  Spans out;
  for (const Span& span : spans) {
    if (span.begin >= span.end) continue;
    if (!out.empty() && span.begin <= out.back().end) {
      out.back().end = std::max(out.back().end, span.end);
    } else {
      out.push_back(span);
    }
  }
  return out;
}

absl::Status CheckShifts(const google::protobuf::RepeatedPtrField<v1::Shift>& shifts, const std::string& field) {
  for (int i = 0; i < shifts.size(); ++i) {
    CRM_TRY(working::CheckSpan(shifts[i].start(), shifts[i].end(), absl::StrCat(field, "[", i, "].end")));
  }
  return absl::OkStatus();
}

absl::Status CheckHolidays(const google::protobuf::RepeatedPtrField<v1::Holiday>& holidays, const std::string& field) {
  std::map<std::string, int> days;
  for (int i = 0; i < holidays.size(); ++i) {
    const std::string here = absl::StrCat(field, "[", i, "]");
    if (!ParseDate(holidays[i].date()).ok()) {
      return FieldError(here + ".date", absl::StrCat(holidays[i].date(), " is a day that no calendar has"));
    }
    if (!days.emplace(holidays[i].date(), i).second) {
      return FieldError(here + ".date", absl::StrCat(holidays[i].date(), " is there twice; name each day once"));
    }
    for (int j = 0; j < holidays[i].stretches_size(); ++j) {
      const v1::Stretch& stretch = holidays[i].stretches(j);
      CRM_TRY(working::CheckSpan(stretch.start(), stretch.end(), absl::StrCat(here, ".stretches[", j, "].end")));
    }
  }
  return absl::OkStatus();
}

WorkCalendar CalendarOfLayers(const std::vector<Layer>& layers) {
  WorkCalendar calendar;
  bool has_zone = false, has_week = false;
  for (const Layer& layer : layers) {
    if (!has_zone && IsZone(layer.time_zone)) {
      calendar.zone = ZoneOrUtc(layer.time_zone);
      calendar.zone_name = layer.time_zone;
      has_zone = true;
    }
    if (!has_week && !layer.shifts.empty()) {
      for (const v1::Shift& shift : layer.shifts) {
        calendar.week[static_cast<size_t>(shift.weekday() - 1)].push_back(SpanOf(shift.start(), shift.end()));
      }
      for (Spans& spans : calendar.week) spans = Normal(std::move(spans));
      has_week = true;
    }
    for (const v1::Holiday& holiday : layer.holidays) {
      auto day = ParseDate(holiday.date());
      if (!day.ok()) continue;
      WorkCalendar::Special special{holiday.name(), {}};
      for (const v1::Stretch& stretch : holiday.stretches()) {
        special.spans.push_back(SpanOf(stretch.start(), stretch.end()));
      }
      special.spans = Normal(std::move(special.spans));
      calendar.special.emplace(*day, std::move(special));  // the nearest layer's stays
    }
  }
  if (!has_week) {
    for (size_t weekday = 0; weekday < 5; ++weekday) calendar.week[weekday] = {{9 * 60, 18 * 60}};
  }
  return calendar;
}

std::optional<absl::Time> NextWorkingMoment(const WorkCalendar& calendar, absl::Time start) {
  std::optional<absl::Time> found;
  working::ForEachStretch(calendar, start, start + kHorizon, [&](absl::Time begin, absl::Time) {
    found = begin;
    return false;
  });
  return found;
}

std::optional<absl::Time> AddWorkingTime(const WorkCalendar& calendar, absl::Time start, absl::Duration duration) {
  if (duration <= absl::ZeroDuration()) return NextWorkingMoment(calendar, start);
  std::optional<absl::Time> found;
  working::ForEachStretch(calendar, start, start + kHorizon, [&](absl::Time begin, absl::Time end) {
    if (end - begin >= duration) {
      found = begin + duration;
      return false;
    }
    duration -= end - begin;
    return true;
  });
  return found;
}

absl::Duration WorkingTimeBetween(const WorkCalendar& calendar, absl::Time begin, absl::Time end) {
  absl::Duration sum;
  working::ForEachStretch(calendar, begin, std::min(end, begin + kHorizon), [&](absl::Time from, absl::Time to) {
    sum += to - from;
    return true;
  });
  return sum;
}

absl::Duration WorkingTimeOf(const WorkCalendar& calendar, absl::CivilDay day) {
  // Only this day's stretches, over all moments at which the clock on the wall can show it.
  WorkCalendar only;
  only.zone = calendar.zone;
  only.special[day] = {"", calendar.On(day)};
  const absl::Time around = StartOfDay(day, calendar.zone);
  return WorkingTimeBetween(only, around - absl::Hours(3), around + absl::Hours(30));
}

absl::Duration UsualDay(const WorkCalendar& calendar) {
  int minutes = 0, days = 0;
  for (const Spans& spans : calendar.week) {
    for (const Span& span : spans) minutes += span.end - span.begin;
    if (!spans.empty()) ++days;
  }
  return days == 0 ? absl::ZeroDuration() : absl::Minutes(minutes) / days;
}

}  // namespace crm::scheduler
