// Recurrence by RFC 5545's RRULE, through libical. Times of day are kept by the clock on the wall of a zone: a task due at nine
// is due at nine in summer and in winter.
#pragma once

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <optional>
#include <string>

namespace crm::scheduler {

// As many as a series may name or be counted through: ten years of every working hour would be no series but a mistake.
inline constexpr int kOccurrencesMax = 1000;

// INVALID_ARGUMENT naming `field` for what is no RRULE or recurs too often: FREQ=SECONDLY and MINUTELY, BYSECOND, several
// BYMINUTEs, a COUNT above kOccurrencesMax, and hourly rules that may never come true.
absl::Status CheckRecurrence(const std::string& rrule, const std::string& field);

// The n-th occurrence (1 is `first` itself); nullopt beyond the rule's COUNT or UNTIL, or beyond kOccurrencesMax.
std::optional<absl::Time> Occurrence(const std::string& rrule, absl::Time first, absl::TimeZone zone, int n);

}  // namespace crm::scheduler
