#include "services/analytics/rules/reports.h"

#include <gtest/gtest.h>

#include "common/base/error.h"

namespace crm::analytics {
namespace {

v1::Period Days(const std::string& from, const std::string& to, const std::string& zone = "") {
  v1::Period period;
  period.set_from_date(from);
  period.set_to_date(to);
  period.set_time_zone(zone);
  return period;
}
const absl::Time kNow = *ParseTime("2026-11-23T22:30:00Z");

// ---- days ----

struct SpanCase {
  const char *from, *to, *zone, *begin, *end;
};

TEST(Span, BeginsAndEndsWithTheZonesDays) {
  const SpanCase cases[] = {
      {"2026-11-01", "2026-11-30", "UTC", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
      // Clocks go forward on 29 March and back on 25 October 2026 in Berlin: days of 23 and 25 hours.
      {"2026-03-29", "2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
      {"2026-10-25", "2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
      {"2026-11-01", "2026-11-01", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
      // There was no midnight on 4 November 2018 in Sao Paulo: the day began at one o'clock.
      {"2018-11-04", "2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
      // Half hours, and the other side of the date line.
      {"2026-01-01", "2026-01-01", "Asia/Kathmandu", "2025-12-31T18:15:00Z", "2026-01-01T18:15:00Z"},
      {"2026-01-01", "2026-01-01", "Pacific/Kiritimati", "2025-12-31T10:00:00Z", "2026-01-01T10:00:00Z"},
      {"2028-02-29", "2028-02-29", "UTC", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"},
  };
  for (const SpanCase& c : cases) {
    auto span = SpanOf(Days(c.from, c.to, c.zone), "UTC", kNow);
    ASSERT_TRUE(span.ok()) << span.status();
    EXPECT_EQ(TimeText(span->begin), c.begin) << c.from << " " << c.zone;
    EXPECT_EQ(TimeText(span->end), c.end) << c.to << " " << c.zone;
  }
}

TEST(Span, IsOpenToThePastAndEndsToday) {
  auto span = SpanOf(Days("", ""), "Asia/Tokyo", kNow);
  ASSERT_TRUE(span.ok());
  EXPECT_EQ(span->begin, absl::InfinitePast());
  EXPECT_EQ(DateText(span->last), "2026-11-24");  // it is tomorrow there
  EXPECT_EQ(PeriodOf(*span).time_zone(), "Asia/Tokyo");
  EXPECT_EQ(PeriodOf(*span).from_date(), "");
  EXPECT_EQ(PeriodOf(*span).to_date(), "2026-11-24");
  span = SpanOf(Days("2027-05-01", ""), "UTC", kNow);  // nothing can have happened yet, which is no error
  ASSERT_TRUE(span.ok());
  EXPECT_EQ(DateText(span->last), "2027-05-01");
}

TEST(Span, RefusesWhatIsNone) {
  const auto field = [](const v1::Period& period, const std::string& zone = "UTC") {
    auto span = SpanOf(period, zone, kNow);
    return span.ok() ? "" : ViolationsOf(span.status()).at(0).field;
  };
  EXPECT_EQ(field(Days("2026-02-30", "")), "period.from_date");
  EXPECT_EQ(field(Days("", "2026-13-01")), "period.to_date");
  EXPECT_EQ(field(Days("2026-02-02", "2026-02-01")), "period.to_date");
  EXPECT_EQ(field(Days("", "", "Europe/Atlantis")), "period.time_zone");
  EXPECT_EQ(field(Days("2026-02-02", "2026-02-02")), "");
}

TEST(Span, ThePeriodBeforeHasAsManyDays) {
  auto span = SpanOf(Days("2026-11-01", "2026-11-30", "Europe/Berlin"), "UTC", kNow);
  auto before = SpanBefore(*span);
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(DateText(*before->first), "2026-10-02");
  EXPECT_EQ(DateText(before->last), "2026-10-31");
  EXPECT_EQ(before->day_count(), span->day_count());
  EXPECT_EQ(before->end, span->begin);
  EXPECT_EQ(TimeText(before->begin), "2026-10-01T22:00:00Z");
  EXPECT_EQ(SpanBefore(*SpanOf(Days("", ""), "UTC", kNow)).status().code(), absl::StatusCode::kInvalidArgument);
  // All of time has nothing before it that a database could count to.
  EXPECT_EQ(SpanBefore(*SpanOf(Days("0001-01-01", "9999-12-31"), "UTC", kNow))->begin, absl::InfinitePast());
}

// ---- numbers ----

TEST(Percent, RoundsHalfToEven) {
  EXPECT_EQ(Percent(3, 8), "37.50");
  EXPECT_EQ(Percent(1, 3), "33.33");
  EXPECT_EQ(Percent(2, 3), "66.67");
  EXPECT_EQ(Percent(1, 800), "0.12");  // 0.125
  EXPECT_EQ(Percent(3, 800), "0.38");  // 0.375
  EXPECT_EQ(Percent(5, 5), "100.00");
  EXPECT_EQ(Percent(0, 5), "0.00");
  EXPECT_EQ(Percent(0, 0), "");
}

RevenueGroup Group(const std::string& key, const std::string& amount, const std::string& currency, int count,
                   bool previous = false) {
  RevenueGroup group;
  group.key = key;
  group.amount = *Decimal::Parse(amount);
  group.currency_code = currency;
  group.deal_count = count;
  group.previous = previous;
  return group;
}
RevenueGroup All(int count, bool previous = false) {
  RevenueGroup group;
  group.all = true;
  group.deal_count = count;
  group.previous = previous;
  return group;
}

TEST(Revenue, RoundsEachSumOnce) {
  auto report = MakeRevenueReport(v1::GROUP_BY_SOURCE, 0,
                                  {Group("a", "1.005", "EUR", 1), Group("b", "1.005", "EUR", 1),
                                   Group("c", "1.015", "EUR", 1), Group("d", "0.004", "EUR", 1), All(4)},
                                  {}, "EUR");
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->rows_size(), 4);
  EXPECT_EQ(report->rows(0).key(), "c");
  EXPECT_EQ(report->rows(0).revenue(0).amount(), "1.02");  // half to even
  EXPECT_EQ(report->rows(1).revenue(0).amount(), "1.00");
  EXPECT_EQ(report->rows(2).revenue(0).amount(), "1.00");
  EXPECT_EQ(report->rows(3).revenue(0).amount(), "0.00");
  EXPECT_EQ(report->total().revenue(0).amount(), "3.03");  // of 3.029, not of the rounded 3.02
  EXPECT_EQ(report->total().deal_count(), 4);
}

TEST(Revenue, KeepsCurrenciesApart) {
  auto report = MakeRevenueReport(v1::GROUP_BY_SOURCE, 0,
                                  {Group("a", "100.5", "JPY", 1), Group("a", "2", "KWD", 2), Group("a", "0", "", 1),
                                   Group("b", "0.5", "EUR", 1), All(5)},
                                  {}, "EUR");
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->rows(0).key(), "b") << "the tenant's currency decides";
  EXPECT_EQ(report->rows(1).deal_count(), 4);
  ASSERT_EQ(report->rows(1).revenue_size(), 2);
  EXPECT_EQ(report->rows(1).revenue(0).amount(), "100");  // no smaller unit; half to even
  EXPECT_EQ(report->rows(1).revenue(1).amount(), "2.000");
  EXPECT_EQ(report->total().revenue_size(), 3);
}

TEST(Revenue, NamesPeriodsAndCutsTheOldest) {
  const std::vector<RevenueGroup> groups = {Group("2026-11-16", "1", "EUR", 1),
                                            Group("2026-11-23", "2", "EUR", 1),
                                            Group("2026-11-09", "3", "EUR", 1, true),
                                            Group("2026-12-28", "4", "EUR", 2),
                                            All(4),
                                            All(1, true)};
  auto report = MakeRevenueReport(v1::GROUP_BY_WEEK, 3, groups, {}, "EUR");
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->rows_size(), 3);
  EXPECT_EQ(report->rows(0).key(), "2026-W47");
  EXPECT_EQ(report->rows(1).key(), "2026-W48");
  EXPECT_EQ(report->rows(2).key(), "2026-W53");
  EXPECT_EQ(report->rows(2).label(), "2026-W53");
  EXPECT_EQ(report->total().revenue(0).amount(), "7.00") << "the total is of all";
  EXPECT_EQ(report->total().previous_revenue(0).amount(), "3.00");
  EXPECT_EQ(report->total().previous_deal_count(), 1);
  report = MakeRevenueReport(v1::GROUP_BY_UNSPECIFIED, 0, {Group("2026-11-01", "1", "EUR", 1), All(1)}, {}, "EUR");
  EXPECT_EQ(report->rows(0).key(), "2026-11");
}

TEST(Revenue, ShowsIdsNamesAndWhatOnlyTheOldPeriodHad) {
  const Uuid id = NewUuid(kNow), gone = NewUuid(kNow);
  auto report = MakeRevenueReport(v1::GROUP_BY_EMPLOYEE, 0,
                                  {Group(id.ToString(), "5", "EUR", 1), Group(gone.ToString(), "7", "EUR", 2, true),
                                   Group("", "1", "EUR", 1), All(2)},
                                  {{id.ToString(), "Ann"}}, "EUR");
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->rows_size(), 3);
  EXPECT_EQ(report->rows(0).key(), TypeId("user", id));
  EXPECT_EQ(report->rows(0).label(), "Ann");
  EXPECT_EQ(report->rows(1).key(), "");
  EXPECT_EQ(report->rows(2).key(), TypeId("user", gone));
  EXPECT_EQ(report->rows(2).deal_count(), 0);
  EXPECT_EQ(report->rows(2).previous_deal_count(), 2);
  EXPECT_EQ(report->rows(2).previous_revenue(0).amount(), "7.00");
}

TEST(Revenue, AddsQuantities) {
  RevenueGroup tea = Group("", "5", "EUR", 1), more = Group("", "5", "USD", 1);
  tea.quantity = *Decimal::Parse("1.50");
  more.quantity = *Decimal::Parse("2.25");
  auto report = MakeRevenueReport(v1::GROUP_BY_PRODUCT, 0, {tea, more, All(2)}, {}, "EUR");
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->rows(0).quantity(), "3.75");
  EXPECT_EQ(report->total().quantity(), "3.75");
}

// ---- employees ----

TEST(Employees, AddUpByUser) {
  const auto fact = [](const std::string& user, int kind, int count, const std::string& amount = "0",
                       const std::string& currency = "") {
    return EmployeeFact{user, user + "'s name", kind, currency, count, *Decimal::Parse(amount)};
  };
  auto report = MakeEmployeeReport(
      {fact("user_a", 1, 2), fact("user_a", 2, 5), fact("user_a", 3, 1), fact("user_a", 11, 4),
       fact("user_b", 12, 1, "10.005", "EUR"), fact("user_b", 12, 1, "3", "USD"), fact("user_b", 13, 1)},
      "EUR");
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->rows_size(), 2);
  EXPECT_EQ(report->rows(0).user_id(), "user_b");
  EXPECT_EQ(report->rows(0).deals_won_count(), 2);
  EXPECT_EQ(report->rows(0).deals_lost_count(), 1);
  EXPECT_EQ(report->rows(0).conversion_percent(), "66.67");
  EXPECT_EQ(report->rows(0).revenue(0).amount(), "10.00");
  EXPECT_EQ(report->rows(1).name(), "user_a's name");
  EXPECT_EQ(report->rows(1).leads_accepted_count(), 2);
  EXPECT_EQ(report->rows(1).moves_count(), 5);
  EXPECT_EQ(report->rows(1).contacts_created_count(), 1);
  EXPECT_EQ(report->rows(1).deals_created_count(), 4);
  EXPECT_EQ(report->rows(1).conversion_percent(), "");
}

}  // namespace
}  // namespace crm::analytics
