// Debian's build of the date library: it reads the system's zone files.
#define USE_OS_TZDB 1
#define ONLY_C_LOCALE 1
#define HAS_STRING_VIEW 1
#include "common/base/time.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <date/tz.h>

#include <algorithm>
#include <string>

#include "common/base/error.h"
#include "common/base/status.h"

namespace crm {
namespace times {

constexpr int kYearMin = 1;
constexpr int kYearMax = 9999;
constexpr size_t kShownMax = 60;

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  const std::string shown = absl::CHexEscape(text.substr(0, kShownMax));
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
               absl::StrCat("\"", shown, "\" ", why), {{"value", shown}});
}

// Exactly `size` digits; -1 otherwise.
int Digits(absl::string_view text, size_t at, size_t size) {
  if (at + size > text.size()) return -1;
  int number = 0;
  for (char c : text.substr(at, size)) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  return number;
}

bool DayExists(int year, int month, int day) {
  if (year < kYearMin || year > kYearMax || month < 1 || month > 12 || day < 1) return false;
  const absl::CivilDay civil(year, month, day);  // wraps 31 June into July
  return civil.month() == month && civil.day() == day;
}

// Zones' names as IANA has them: not paths, not the same files again under posix/ and right/. The date library lists
// them; the arithmetic is Abseil's, because Debian's date does not read a zone file's rule for the years after its
// table: measured, Berlin has no summer time in it from 2038 on. Looking a name up here first also keeps strangers'
// texts out of Abseil's cache of zones, which never forgets, and away from the file system.
const absl::flat_hash_set<std::string>& ZoneNames() {
  static const auto* const names = [] {
    auto* set = new absl::flat_hash_set<std::string>();
    for (const auto& zone : date::get_tzdb().zones) set->insert(zone.name());
    for (const char* no_place : {"Factory", "localtime", "posixrules"}) set->erase(no_place);
    set->insert("UTC");
    return set;
  }();
  return *names;
}

}  // namespace times

absl::StatusOr<absl::Time> ParseTime(absl::string_view text) {
  constexpr char kWant[] =
      "is not a time: write it as RFC 3339 does, like \"2026-11-23T10:15:00Z\" or with \"+01:00\".";
  // Stricter than absl::ParseTime, which takes years beyond four digits, infinities and white space.
  const int year = times::Digits(text, 0, 4), month = times::Digits(text, 5, 2), day = times::Digits(text, 8, 2);
  const int hour = times::Digits(text, 11, 2), minute = times::Digits(text, 14, 2), second = times::Digits(text, 17, 2);
  if (text.size() < 20 || std::min({year, month, day, hour, minute, second}) < 0 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':') {
    return times::Invalid(text, kWant);
  }
  if (!times::DayExists(year, month, day) || hour > 23 || minute > 59 || second > 59) {
    return times::Invalid(text, "is not a time: there is no such day or hour.");
  }
  size_t at = 19;
  int64_t nanos = 0;
  if (text[at] == '.') {
    int64_t unit = 100'000'000;
    const size_t first = ++at;
    for (; at < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[at])); ++at) {
      nanos += unit * (text[at] - '0');
      unit /= 10;
    }
    if (at == first || at - first > 9) return times::Invalid(text, kWant);
  }
  const absl::string_view zone = text.substr(at);
  int offset = 0;
  if (zone != "Z" && zone != "z") {
    const int hours = times::Digits(zone, 1, 2), minutes = times::Digits(zone, 4, 2);
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || hours < 0 || hours > 23 ||
        minutes < 0 || minutes > 59) {
      return times::Invalid(text, kWant);
    }
    offset = (hours * 60 + minutes) * (zone[0] == '-' ? -1 : 1);
  }
  const absl::Time time =
      absl::FromCivil(absl::CivilSecond(year, month, day, hour, minute, second), absl::UTCTimeZone()) +
      absl::Nanoseconds(nanos) - absl::Minutes(offset);
  const auto utc_year = absl::ToCivilYear(time, absl::UTCTimeZone()).year();
  if (utc_year < times::kYearMin || utc_year > times::kYearMax) {
    return times::Invalid(text, "is out of range: years 0001 to 9999 are kept.");
  }
  return time;
}

std::string TimeText(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);  // towards the past
  const absl::Time whole = absl::FromUnixMicros(micros);
  const int64_t fraction = (micros % 1'000'000 + 1'000'000) % 1'000'000;
  const absl::CivilSecond civil = absl::ToCivilSecond(whole, absl::UTCTimeZone());
  std::string text = absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d", civil.year(), civil.month(), civil.day(),
                                     civil.hour(), civil.minute(), civil.second());
  if (fraction % 1000 != 0) {
    absl::StrAppendFormat(&text, ".%06d", fraction);
  } else if (fraction != 0) {
    absl::StrAppendFormat(&text, ".%03d", fraction / 1000);
  }
  return text + "Z";
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);
  const int64_t fraction = (micros % 1'000'000 + 1'000'000) % 1'000'000;
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds((micros - fraction) / 1'000'000);
  timestamp.set_nanos(static_cast<int32_t>(fraction * 1000));
  return timestamp;
}

absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

absl::StatusOr<absl::CivilDay> ParseDate(absl::string_view text) {
  const int year = times::Digits(text, 0, 4), month = times::Digits(text, 5, 2), day = times::Digits(text, 8, 2);
  if (text.size() != 10 || text[4] != '-' || text[7] != '-' || std::min({year, month, day}) < 0) {
    return times::Invalid(text, "is not a day: write it like \"2026-11-23\".");
  }
  if (!times::DayExists(year, month, day)) return times::Invalid(text, "is not a day: the calendar does not have it.");
  return absl::CivilDay(year, month, day);
}

std::string DateText(absl::CivilDay day) {
  return absl::StrFormat("%04d-%02d-%02d", day.year(), day.month(), day.day());
}

std::string PartialDate::ToString() const {
  return year ? absl::StrFormat("%04d-%02d-%02d", *year, month, day) : absl::StrFormat("--%02d-%02d", month, day);
}

absl::StatusOr<PartialDate> ParsePartialDate(absl::string_view text) {
  if (text.substr(0, 2) == "--") {
    const int month = times::Digits(text, 2, 2), day = times::Digits(text, 5, 2);
    constexpr int kLeapYear = 2000;  // so that 29 February is one
    if (text.size() != 7 || text[4] != '-' || !times::DayExists(kLeapYear, month, day)) {
      return times::Invalid(text, "is not a day of the year: write it like \"--05-03\".");
    }
    return PartialDate{std::nullopt, month, day};
  }
  auto day = ParseDate(text);
  if (!day.ok()) {
    return times::Invalid(text, "is not a day: write it like \"1984-05-03\", or \"--05-03\" without a year.");
  }
  return PartialDate{static_cast<int>(day->year()), day->month(), day->day()};
}

bool IsZone(absl::string_view name) { return times::ZoneNames().contains(name); }

absl::StatusOr<absl::TimeZone> FindZone(absl::string_view name, absl::string_view field) {
  absl::TimeZone zone;
  if (!IsZone(name) || !absl::LoadTimeZone(name, &zone)) {
    return FieldError(std::string(field),
                      absl::StrCat("\"", absl::CHexEscape(name.substr(0, times::kShownMax)),
                                   "\" is not a time zone: give an IANA name such as \"Europe/Berlin\" or \"UTC\"."));
  }
  return zone;
}

absl::TimeZone ZoneOrUtc(absl::string_view name) {
  auto zone = FindZone(name);
  return zone.ok() ? *zone : absl::UTCTimeZone();
}

absl::CivilDay LocalDay(absl::Time time, absl::TimeZone zone) { return absl::ToCivilDay(time, zone); }

// FromCivil answers the first moment after a gap, and the earlier of two midnights.
absl::Time StartOfDay(absl::CivilDay day, absl::TimeZone zone) { return absl::FromCivil(day, zone); }

absl::CivilDay PeriodStart(absl::CivilDay day, Period period) {
  switch (period) {
    case Period::kDay:
      return day;
    case Period::kWeek:
      return absl::PrevWeekday(day + 1, absl::Weekday::monday);
    case Period::kMonth:
      return absl::CivilDay(absl::CivilMonth(day));
    case Period::kQuarter:
      return absl::CivilDay(day.year(), (day.month() - 1) / 3 * 3 + 1, 1);
    case Period::kYear:
      return absl::CivilDay(absl::CivilYear(day));
  }
  return day;
}

absl::CivilDay AddPeriods(absl::CivilDay day, Period period, int count) {
  const absl::CivilDay start = PeriodStart(day, period);
  switch (period) {
    case Period::kDay:
      return start + count;
    case Period::kWeek:
      return start + 7LL * count;
    case Period::kMonth:
      return absl::CivilDay(absl::CivilMonth(start) + count);
    case Period::kQuarter:
      return absl::CivilDay(absl::CivilMonth(start) + 3LL * count);
    case Period::kYear:
      return absl::CivilDay(absl::CivilYear(start) + count);
  }
  return start;
}

std::string PeriodName(absl::CivilDay day, Period period) {
  switch (period) {
    case Period::kDay:
      return DateText(day);
    case Period::kWeek: {
      // A week belongs to the year that has its Thursday (ISO 8601).
      const absl::CivilDay thursday = PeriodStart(day, Period::kWeek) + 3;
      return absl::StrFormat("%04d-W%02d", thursday.year(), (absl::GetYearDay(thursday) - 1) / 7 + 1);
    }
    case Period::kMonth:
      return absl::StrFormat("%04d-%02d", day.year(), day.month());
    case Period::kQuarter:
      return absl::StrFormat("%04d-Q%d", day.year(), (day.month() - 1) / 3 + 1);
    case Period::kYear:
      return absl::StrFormat("%04d", day.year());
  }
  return "";
}

Bucket BucketOf(absl::Time time, Period period, absl::TimeZone zone) {
  const absl::CivilDay first = PeriodStart(LocalDay(time, zone), period);
  return {first, StartOfDay(first, zone), StartOfDay(AddPeriods(first, period, 1), zone)};
}

}  // namespace crm
