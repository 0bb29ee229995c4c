// covers: common/base/time.cc
// Moments, days, birthdays and zones: written as read. JSON's reader of timestamps (common/json/text.h) takes the same.
#include "common/base/time.h"
#include "common/json/text.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(time) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  const auto moment = ParseTime(text);
  const auto stamp = json::text::ParseTimestamp(text);
  fuzz::Require(moment.ok() == stamp.has_value(), "both readers of moments take the same texts", text);
  if (moment.ok()) {
    fuzz::Require(absl::FromUnixSeconds(stamp->seconds) + absl::Nanoseconds(stamp->nanos) == *moment,
                  "both readers of moments agree", text);
    const auto again = ParseTime(TimeText(*moment));
    fuzz::Require(again.ok() && *again == FromTimestamp(ToTimestamp(*moment)), "a moment is kept to the microsecond",
                  text);
  } else {
    fuzz::RequireRefusal(moment.status());
  }
  if (const auto day = ParseDate(text); day.ok()) {
    fuzz::Require(DateText(*day) == text, "a day is written as it was read", text);
    for (const Period period : {Period::kDay, Period::kWeek, Period::kMonth, Period::kQuarter, Period::kYear}) {
      const absl::CivilDay start = PeriodStart(*day, period);
      fuzz::Require(start <= *day && *day < AddPeriods(*day, period, 1), "a day is within its period", text);
      fuzz::Require(PeriodStart(start, period) == start, "a period begins where it begins", text);
    }
  } else {
    fuzz::RequireRefusal(day.status());
  }
  if (const auto day = ParsePartialDate(text); day.ok()) {
    fuzz::Require(day->ToString() == text, "a birthday is written as it was read", text);
  } else {
    fuzz::RequireRefusal(day.status());
  }
  if (const auto zone = FindZone(text); !zone.ok()) fuzz::RequireRefusal(zone.status());
}
