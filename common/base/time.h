// Moments, days, zones and periods. Moments are absl::Time, days absl::CivilDay; zones are IANA's, from the system's
// files.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <google/protobuf/timestamp.pb.h>

#include <optional>
#include <string>

namespace crm {

// ---- moments: RFC 3339, years 0001 to 9999, microseconds as PostgreSQL keeps them ----
absl::StatusOr<absl::Time> ParseTime(absl::string_view text);
// UTC with 0, 3 or 6 digits of the second: "2026-11-23T10:15:00.250Z".
std::string TimeText(absl::Time time);
// Cut to microseconds, so that a stamp reads the same before and after it was stored.
google::protobuf::Timestamp ToTimestamp(absl::Time time);
absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp);

// ---- days: "2026-11-23", years 0001 to 9999 ----
absl::StatusOr<absl::CivilDay> ParseDate(absl::string_view text);
std::string DateText(absl::CivilDay day);

// A birthday whose year may be unknown: "1984-05-03" or "--05-03" (ISO 8601:2000, vCard).
struct PartialDate {
  std::optional<int> year;
  int month = 1;
  int day = 1;
  std::string ToString() const;
  bool operator==(const PartialDate&) const = default;
};
absl::StatusOr<PartialDate> ParsePartialDate(absl::string_view text);

// ---- zones ----
bool IsZone(absl::string_view name);
// INVALID_ARGUMENT naming `field` for a name that IANA does not know.
absl::StatusOr<absl::TimeZone> FindZone(absl::string_view name, absl::string_view field = "time_zone");
// For names that were checked when they came in.
absl::TimeZone ZoneOrUtc(absl::string_view name);

absl::CivilDay LocalDay(absl::Time time, absl::TimeZone zone);
// The day's first moment, which is not midnight where clocks are turned at midnight.
absl::Time StartOfDay(absl::CivilDay day, absl::TimeZone zone);

// ---- periods ----
enum class Period { kDay, kWeek, kMonth, kQuarter, kYear };  // weeks begin on Monday (ISO 8601)

// The period's first day.
absl::CivilDay PeriodStart(absl::CivilDay day, Period period);
// The first day of the period `count` periods after (before, if negative) the one that holds `day`.
absl::CivilDay AddPeriods(absl::CivilDay day, Period period, int count);
// "2026-11-23", "2026-W48", "2026-11", "2026-Q4", "2026".
std::string PeriodName(absl::CivilDay day, Period period);

// The period of a moment as a zone's people see it.
struct Bucket {
  absl::CivilDay first_day;
  absl::Time begin;
  absl::Time end;  // the next one's begin
};
Bucket BucketOf(absl::Time time, Period period, absl::TimeZone zone);

}  // namespace crm
