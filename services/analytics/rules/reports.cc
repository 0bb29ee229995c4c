#include "services/analytics/rules/reports.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "services/analytics/rules/projection.h"

namespace crm::analytics {
namespace reporting {

absl::StatusOr<absl::CivilDay> DayOf(const std::string& text, const char* field) {
  auto day = ParseDate(text);
  if (!day.ok()) return FieldError(field, std::string(day.status().message()));
  return day;
}

// The kinds of sql/employees.sql beyond those of activity_fact.
constexpr int kBegun = 11, kWon = 12, kLost = 13;

}  // namespace reporting

absl::StatusOr<Span> SpanOf(const v1::Period& period, const std::string& default_zone, absl::Time now) {
  Span span;
  span.zone_name = period.time_zone().empty() ? default_zone : period.time_zone();
  CRM_TRY(absl::TimeZone zone, FindZone(span.zone_name, "period.time_zone"));
  if (!period.from_date().empty()) {
    CRM_TRY(span.first, reporting::DayOf(period.from_date(), "period.from_date"));
  }
  if (period.to_date().empty()) {
    span.last = LocalDay(now, zone);
    if (span.first && *span.first > span.last) span.last = *span.first;
  } else {
    CRM_TRY(span.last, reporting::DayOf(period.to_date(), "period.to_date"));
  }
  if (span.first && *span.first > span.last) {
    return FieldError("period.to_date", "is before from_date; give the later day here");
  }
  span.begin = span.first ? StartOfDay(*span.first, zone) : absl::InfinitePast();
  span.end = StartOfDay(span.last + 1, zone);
  return span;
}

absl::StatusOr<Span> SpanBefore(const Span& span) {
  if (!span.first) {
    return FieldError("period.from_date", "is needed to compare with the period before; give the first day");
  }
  Span before = span;
  before.last = *span.first - 1;
  before.first = *span.first - span.day_count();
  // Before the year 1 nothing is won, and no database counts that far.
  before.begin = before.first->year() < 1 ? absl::InfinitePast() : StartOfDay(*before.first, ZoneOrUtc(span.zone_name));
  before.end = span.begin;
  return before;
}

v1::Period PeriodOf(const Span& span) {
  v1::Period period;
  if (span.first) period.set_from_date(DateText(*span.first));
  period.set_to_date(DateText(span.last));
  period.set_time_zone(span.zone_name);
  return period;
}

std::string Percent(int64_t part, int64_t whole) {
  auto percent = Divide(Decimal(part) * Decimal(100), Decimal(whole), 2);
  return percent.ok() ? percent->ToString() : "";
}

// ---- sums ----

void Sums::Add(const std::string& currency_code, const Decimal& amount) {
  if (!currency_code.empty()) sums_[currency_code] += amount;
}

void Sums::Add(const Sums& other) {
  for (const auto& [currency, amount] : other.sums_) Add(currency, amount);
}

Decimal Sums::Of(const std::string& currency_code) const {
  const auto found = sums_.find(currency_code);
  return found == sums_.end() ? Decimal() : found->second;
}

Decimal Sums::Mixed() const {
  Decimal all;
  for (const auto& [currency, amount] : sums_) all += amount;
  return all;
}

absl::Status Sums::Show(google::protobuf::RepeatedPtrField<type::v1::Money>* to) const {
  for (const auto& [currency, amount] : sums_) {
    if (amount.IsZero()) continue;
    CRM_TRY(*to->Add(), MakeMoney(amount.Rounded(MinorDigits(currency)), currency));
  }
  return absl::OkStatus();
}

bool Larger(const Sums& a, const Sums& b, const std::string& main_currency) {
  const Decimal left = a.Of(main_currency), right = b.Of(main_currency);
  if (left != right) return left > right;
  return a.Mixed() > b.Mixed();
}

// ---- revenue ----

std::optional<Period> TimeUnitOf(v1::GroupBy group_by) {
  switch (group_by) {
    case v1::GROUP_BY_DAY:
      return Period::kDay;
    case v1::GROUP_BY_WEEK:
      return Period::kWeek;
    case v1::GROUP_BY_UNSPECIFIED:
    case v1::GROUP_BY_MONTH:
      return Period::kMonth;
    case v1::GROUP_BY_QUARTER:
      return Period::kQuarter;
    case v1::GROUP_BY_YEAR:
      return Period::kYear;
    default:
      return std::nullopt;
  }
}

std::string SqlKeyOf(v1::GroupBy group_by) {
  switch (group_by) {
    case v1::GROUP_BY_DAY:
      return "day";
    case v1::GROUP_BY_WEEK:
      return "week";
    case v1::GROUP_BY_QUARTER:
      return "quarter";
    case v1::GROUP_BY_YEAR:
      return "year";
    case v1::GROUP_BY_EMPLOYEE:
      return "owner";
    case v1::GROUP_BY_COUNTRY:
      return "country";
    case v1::GROUP_BY_PIPELINE:
      return "pipeline";
    case v1::GROUP_BY_SOURCE:
      return "source";
    default:
      return "month";
  }
}

std::string PrefixOf(v1::GroupBy group_by) {
  switch (group_by) {
    case v1::GROUP_BY_EMPLOYEE:
      return "user";
    case v1::GROUP_BY_PRODUCT:
      return "product";
    case v1::GROUP_BY_PIPELINE:
      return "pipeline";
    default:
      return "";
  }
}

absl::StatusOr<v1::RevenueReport> MakeRevenueReport(v1::GroupBy group_by, int row_count_max,
                                                    const std::vector<RevenueGroup>& groups,
                                                    const std::map<std::string, std::string>& labels,
                                                    const std::string& main_currency) {
  struct Line {
    Sums now, before;
    int64_t count_now = 0, count_before = 0;
    std::optional<Decimal> quantity;
  };
  std::map<std::string, Line> lines;
  Line total;
  for (const RevenueGroup& group : groups) {
    if (group.all) {
      (group.previous ? total.count_before : total.count_now) += group.deal_count;
      continue;
    }
    Line& line = lines[group.key];
    (group.previous ? line.before : line.now).Add(group.currency_code, group.amount);
    (group.previous ? line.count_before : line.count_now) += group.deal_count;
    if (group.quantity && !group.previous) line.quantity = line.quantity.value_or(Decimal()) + *group.quantity;
  }

  const std::optional<Period> unit = TimeUnitOf(group_by);
  std::vector<std::map<std::string, Line>::const_iterator> order;
  for (auto line = lines.cbegin(); line != lines.cend(); ++line) {
    total.now.Add(line->second.now);
    total.before.Add(line->second.before);
    if (line->second.quantity) total.quantity = total.quantity.value_or(Decimal()) + *line->second.quantity;
    order.push_back(line);
  }
  const size_t max = row_count_max > 0 ? row_count_max : kRowsDefault;
  if (unit) {  // the keys are days: they lie in order already
    if (order.size() > max) order.erase(order.begin(), order.end() - max);
  } else {
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return Larger(a->second.now, b->second.now, main_currency); });
    if (order.size() > max) order.resize(max);
  }

  const auto show = [](const Line& line, v1::RevenueRow& row) -> absl::Status {
    CRM_TRY(line.now.Show(row.mutable_revenue()));
    CRM_TRY(line.before.Show(row.mutable_previous_revenue()));
    row.set_deal_count(static_cast<int32_t>(line.count_now));
    row.set_previous_deal_count(static_cast<int32_t>(line.count_before));
    if (line.quantity) row.set_quantity(line.quantity->Shortened().ToString());
    return absl::OkStatus();
  };
  const std::string prefix = PrefixOf(group_by);
  v1::RevenueReport report;
  for (const auto& line : order) {
    const std::string& key = line->first;
    v1::RevenueRow& row = *report.add_rows();
    CRM_TRY(show(line->second, row));
    if (unit) {
      CRM_TRY(absl::CivilDay day, ParseDate(key));
      row.set_key(PeriodName(day, *unit));
    } else if (!prefix.empty() && !key.empty()) {
      CRM_TRY(Uuid id, Uuid::Parse(key));
      row.set_key(TypeId(prefix, id));
    } else {
      row.set_key(key);
    }
    const auto label = labels.find(key);
    if (label != labels.end()) row.set_label(label->second);
    if (prefix.empty()) row.set_label(row.key());
  }
  CRM_TRY(show(total, *report.mutable_total()));
  return report;
}

// ---- employees ----

absl::StatusOr<v1::EmployeeReport> MakeEmployeeReport(const std::vector<EmployeeFact>& facts,
                                                      const std::string& main_currency) {
  struct Employee {
    v1::EmployeeRow row;
    Sums revenue;
  };
  std::map<std::string, Employee> employees;
  for (const EmployeeFact& fact : facts) {
    Employee& employee = employees[fact.user_id];
    v1::EmployeeRow& row = employee.row;
    row.set_user_id(fact.user_id);
    row.set_name(fact.name);
    const auto count = static_cast<int32_t>(fact.count);
    switch (fact.kind) {
      case static_cast<int>(Activity::kLeadAccepted):
        row.set_leads_accepted_count(row.leads_accepted_count() + count);
        break;
      case static_cast<int>(Activity::kDealMoved):
        row.set_moves_count(row.moves_count() + count);
        break;
      case static_cast<int>(Activity::kRecordCreated):
        row.set_contacts_created_count(row.contacts_created_count() + count);
        break;
      case static_cast<int>(Activity::kMessageSent):
        row.set_messages_sent_count(row.messages_sent_count() + count);
        break;
      case static_cast<int>(Activity::kMessageReceived):
        row.set_messages_received_count(row.messages_received_count() + count);
        break;
      case static_cast<int>(Activity::kTaskCompleted):
        row.set_tasks_completed_count(row.tasks_completed_count() + count);
        break;
      case reporting::kBegun:
        row.set_deals_created_count(row.deals_created_count() + count);
        break;
      case reporting::kWon:
        row.set_deals_won_count(row.deals_won_count() + count);
        employee.revenue.Add(fact.currency_code, fact.amount);
        break;
      case reporting::kLost:
        row.set_deals_lost_count(row.deals_lost_count() + count);
        break;
    }
  }
  std::vector<Employee> order;
  for (auto& [id, employee] : employees) {
    v1::EmployeeRow& row = employee.row;
    CRM_TRY(employee.revenue.Show(row.mutable_revenue()));
    row.set_conversion_percent(Percent(row.deals_won_count(), row.deals_won_count() + row.deals_lost_count()));
    order.push_back(std::move(employee));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](const Employee& a, const Employee& b) { return Larger(a.revenue, b.revenue, main_currency); });
  v1::EmployeeReport report;
  for (Employee& employee : order) *report.add_rows() = std::move(employee.row);
  return report;
}

}  // namespace crm::analytics
