// How reports are put together. Pure.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/decimal.h"
#include "common/base/time.h"
#include "crm/analytics/v1/report.pb.h"

namespace crm::analytics {

// Rows of a report when nobody says how many.
inline constexpr int kRowsDefault = 1000;

// ---- days ----

// The days of a report, as a zone's people count them, and the moments that they begin and end at.
struct Span {
  std::optional<absl::CivilDay> first;  // empty: from the beginning
  absl::CivilDay last;                  // included
  std::string zone_name;
  absl::Time begin;  // InfinitePast without a first day
  absl::Time end;    // of the last day; not included

  // Only when there is a first day.
  int day_count() const { return static_cast<int>(last - *first) + 1; }
};

// Without to_date up to and with today. INVALID_ARGUMENT for days that are none, for a to_date before from_date, and
// for an unknown zone; `default_zone` counts when the period names none.
absl::StatusOr<Span> SpanOf(const v1::Period& period, const std::string& default_zone, absl::Time now);

// As many days, up to the day before. INVALID_ARGUMENT without a first day.
absl::StatusOr<Span> SpanBefore(const Span& span);

v1::Period PeriodOf(const Span& span);

// ---- numbers ----

// part / whole in percent with two digits, half-even: "37.50"; "" if whole is 0.
std::string Percent(int64_t part, int64_t whole);

// Sums of money by currency: exact, rounded once to each currency's smallest unit when they are shown.
class Sums {
 public:
  // Nothing without a currency.
  void Add(const std::string& currency_code, const Decimal& amount);
  void Add(const Sums& other);
  Decimal Of(const std::string& currency_code) const;
  // All currencies' figures together: good for putting rows in an order, not for showing.
  Decimal Mixed() const;
  // One Money per currency that sums to something else than nothing, by currency code.
  absl::Status Show(google::protobuf::RepeatedPtrField<type::v1::Money>* to) const;

 private:
  std::map<std::string, Decimal> sums_;
};

// True if `a` comes before `b` where the largest sum goes first: by the sum in the main currency, then by all of them.
bool Larger(const Sums& a, const Sums& b, const std::string& main_currency);

// ---- revenue ----

// Time groupings go in order of time, the others by revenue.
std::optional<Period> TimeUnitOf(v1::GroupBy group_by);
// What SQL calls it: a unit of date_trunc, or "owner", "pipeline", "country", "source".
std::string SqlKeyOf(v1::GroupBy group_by);
// The TypeID prefix of the keys, "" where they are none.
std::string PrefixOf(v1::GroupBy group_by);

// One group as SQL answers it.
struct RevenueGroup {
  bool all = false;       // of all groups together: only the count is meant
  bool previous = false;  // of the period before
  std::string key;        // a uuid as text, the first day of a period, or a word
  std::string currency_code;
  Decimal amount;
  int64_t deal_count = 0;
  std::optional<Decimal> quantity;
};

// Rows and total; `labels` by uuid text. At most `row_count_max` rows (0: 1000): the largest, of periods the latest.
absl::StatusOr<v1::RevenueReport> MakeRevenueReport(v1::GroupBy group_by, int row_count_max,
                                                    const std::vector<RevenueGroup>& groups,
                                                    const std::map<std::string, std::string>& labels,
                                                    const std::string& main_currency);

// ---- employees ----

// What a user did of one kind, as SQL answers it; see sql/employees.sql.
struct EmployeeFact {
  std::string user_id;  // TypeID
  std::string name;
  int kind = 0;
  std::string currency_code;
  int64_t count = 0;
  Decimal amount;
};
absl::StatusOr<v1::EmployeeReport> MakeEmployeeReport(const std::vector<EmployeeFact>& facts,
                                                      const std::string& main_currency);

}  // namespace crm::analytics
