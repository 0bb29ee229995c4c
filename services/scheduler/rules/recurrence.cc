#include "services/scheduler/rules/recurrence.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <libical/ical.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/base/error.h"
#include "common/base/text.h"

namespace crm::scheduler {

namespace recurring {

constexpr int kIntervalMax = 1000;
constexpr int kYearsMax = 60;  // beyond, no task will be looked at by those who made it

struct FreeIterator {
  void operator()(icalrecur_iterator* iterator) const { icalrecur_iterator_free(iterator); }
};

icaltimetype Floating(absl::CivilSecond second) {
  icaltimetype time = icaltime_null_time();
  time.year = static_cast<int>(second.year());
  time.month = second.month();
  time.day = second.day();
  time.hour = second.hour();
  time.minute = second.minute();
  time.second = second.second();
  return time;
}

absl::CivilSecond CivilOf(const icaltimetype& time) {
  return absl::CivilSecond(time.year, time.month, time.day, time.hour, time.minute, time.second);
}

std::set<std::string> PartsOf(const std::string& rrule) {
  std::set<std::string> names;
  for (absl::string_view part : absl::StrSplit(rrule, ';', absl::SkipEmpty())) {
    names.insert(absl::AsciiStrToUpper(part.substr(0, part.find('='))));
  }
  return names;
}

icalrecurrencetype Parse(const std::string& rrule) {
  icalerror_set_errors_are_fatal(0);
  return icalrecurrencetype_from_string(rrule.c_str());
}

int Count(const short* list, int max) {
  int count = 0;
  while (count < max && list[count] != ICAL_RECURRENCE_ARRAY_MAX) ++count;
  return count;
}

}  // namespace recurring

absl::Status CheckRecurrence(const std::string& rrule, const std::string& field) {
  const std::set<std::string> parts = recurring::PartsOf(rrule);
  const auto wrong = [&](const std::string& what) { return FieldError(field, what); };
  if (!IsClean(rrule) || !parts.contains("FREQ"))
    return wrong("must be an RRULE of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;COUNT=10");
  const icalrecurrencetype rule = recurring::Parse(rrule);
  if (rule.freq == ICAL_NO_RECURRENCE) return wrong("is not an RRULE that can be read, see RFC 5545, section 3.3.10");
  if (rule.freq == ICAL_SECONDLY_RECURRENCE || rule.freq == ICAL_MINUTELY_RECURRENCE || parts.contains("BYSECOND") ||
      recurring::Count(rule.by_minute, ICAL_BY_MINUTE_SIZE) > 1) {
    return wrong("recurs more often than hourly; FREQ=HOURLY is the most");
  }
  if (parts.contains("RSCALE")) return wrong("has an RSCALE; only the Gregorian calendar is understood");
  if (parts.contains("COUNT") && (rule.count < 1 || rule.count > kOccurrencesMax)) {
    return wrong(absl::StrCat("has a COUNT that is not from 1 to ", kOccurrencesMax));
  }
  if (parts.contains("COUNT") && parts.contains("UNTIL")) return wrong("has a COUNT and an UNTIL; say one of them");
  if (rule.interval < 1 || rule.interval > recurring::kIntervalMax) {
    return wrong(absl::StrCat("has an INTERVAL that is not from 1 to ", recurring::kIntervalMax));
  }
  if (rule.freq == ICAL_HOURLY_RECURRENCE) {
    // libical would look for them hour by hour for centuries.
    for (const std::string& part : parts) {
      if (part != "FREQ" && part != "COUNT" && part != "UNTIL" && part != "INTERVAL" && part != "WKST" &&
          part != "BYDAY" && !(part == "BYHOUR" && rule.interval == 1)) {
        return wrong(absl::StrCat("has ", part, " in an hourly rule; make it FREQ=DAILY with BYHOUR"));
      }
    }
  }
  return absl::OkStatus();
}

std::optional<absl::Time> Occurrence(const std::string& rrule, absl::Time first, absl::TimeZone zone, int n) {
  if (n < 1 || n > kOccurrencesMax) return std::nullopt;
  if (n == 1) return first;
  icalrecurrencetype rule = recurring::Parse(rrule);
  if (rule.freq == ICAL_NO_RECURRENCE) return std::nullopt;
  // Counting and ending are done here, so that the first task counts although it may not fit the rule, and UNTIL is a moment
  // where it says Z and a local time or day elsewhere.
  if (rule.count > 0 && n > rule.count) return std::nullopt;
  rule.count = 0;
  const icaltimetype until = rule.until;
  const absl::CivilSecond begin = absl::ToCivilSecond(first, zone);
  // A rule that never comes true ("30 February") would be followed to the year 2582, day by day.
  rule.until = recurring::Floating(absl::CivilSecond(absl::CivilYear(begin) + recurring::kYearsMax));
  std::unique_ptr<icalrecur_iterator, recurring::FreeIterator> iterator(
      icalrecur_iterator_new(rule, recurring::Floating(begin)));
  if (iterator == nullptr) return std::nullopt;
  int number = 1;
  absl::Time last = first;
  for (;;) {
    const icaltimetype next = icalrecur_iterator_next(iterator.get());
    if (icaltime_is_null_time(next)) return std::nullopt;
    const absl::CivilSecond local = recurring::CivilOf(next);
    if (local <= begin) continue;
    if (local.year() > 9999) return std::nullopt;  // no timestamp can say it
    const absl::Time moment =
        zone.At(local).pre;  // a time that is skipped: by the offset before the gap, as the RFC says
    if (!icaltime_is_null_time(until)) {
      const bool beyond = until.is_date ? absl::CivilDay(local) > absl::CivilDay(until.year, until.month, until.day)
                          : icaltime_is_utc(until)
                              ? moment > absl::FromCivil(recurring::CivilOf(until), absl::UTCTimeZone())
                              : local > recurring::CivilOf(until);
      if (beyond) return std::nullopt;
    }
    if (moment <= last) continue;  // "BYHOUR=2,2", or two times that a gap makes one
    last = moment;
    if (++number == n) return moment;
  }
}

}  // namespace crm::scheduler
