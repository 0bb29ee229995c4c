// covers: services/scheduler/rules/recurrence.cc
// RRULEs (libical): what is taken recurs forwards, by its first occurrences, and ends where it says.
#include "common/base/time.h"
#include "services/scheduler/rules/recurrence.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(recurrence) {
  using namespace crm;
  static const absl::TimeZone zone = ZoneOrUtc("Europe/Berlin");
  const std::string rrule(input.Rest());
  const absl::Status taken = scheduler::CheckRecurrence(rrule, "task.recurrence");
  if (!taken.ok()) {
    fuzz::Require(!ViolationsOf(taken).empty(), "the error names its field", taken.message());
    return fuzz::RequireRefusal(taken);
  }
  const absl::Time first = absl::FromCivil(absl::CivilSecond(2026, 3, 28, 2, 30, 0), zone);
  fuzz::Require(scheduler::Occurrence(rrule, first, zone, 1) == first, "the first is the first", rrule);
  absl::Time before = first;
  for (int n = 2; n <= 4; ++n) {
    const auto next = scheduler::Occurrence(rrule, first, zone, n);
    if (!next) {
      fuzz::Require(!scheduler::Occurrence(rrule, first, zone, n + 1), "after the last there is none", rrule);
      break;
    }
    fuzz::Require(*next > before, "time goes forwards", rrule);
    before = *next;
  }
}
