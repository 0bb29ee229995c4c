// Reports on the real PostgreSQL: days in zones, scopes, the funnel, employees, watching.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>

#include "common/base/error.h"
#include "common/rpc/server.h"
#include "tests/integration/analytics/analytics_fixture.h"

namespace crm::analytics {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

absl::Time At(const char* text) { return *ParseTime(text); }

class ReportsTest : public AnalyticsTest {};

TEST_F(ReportsTest, TheServerTakesTheService) {
  const absl::Status status = rpc::CheckService(*service_);
  EXPECT_TRUE(status.ok()) << status;
}

// ---- revenue ----

TEST_F(ReportsTest, DaysAreTheZonesDays) {
  Story story;
  // Around the night in which Berlin's clocks go back: 25 October 2026 has 25 hours there.
  for (const char* time : {"2026-10-24T21:59:59.999999Z", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z",
                           "2026-10-25T01:30:00Z", "2026-10-25T22:59:59.999999Z", "2026-10-25T23:00:00Z"}) {
    story.now = At(time);
    story.AddDeal("1", "EUR", "", Story::kWon);
  }
  HearAll(story);
  const Call call = Reader(story);
  EXPECT_THAT(Lines(Revenue(call, By(v1::GROUP_BY_DAY, "2026-10-24", "2026-10-26", "Europe/Berlin"))),
              ElementsAre("2026-10-24: 1.00 EUR (1)", "2026-10-25: 4.00 EUR (4)", "2026-10-26: 1.00 EUR (1)"));
  EXPECT_THAT(Lines(Revenue(call, By(v1::GROUP_BY_DAY, "2026-10-25", "2026-10-25", "Europe/Berlin"))),
              ElementsAre("2026-10-25: 4.00 EUR (4)"));
  EXPECT_THAT(Lines(Revenue(call, By(v1::GROUP_BY_DAY, "2026-10-25", "2026-10-25"))),
              ElementsAre("2026-10-25: 4.00 EUR (4)"));
  EXPECT_THAT(Lines(Revenue(call, By(v1::GROUP_BY_DAY, "", "", "Pacific/Kiritimati"))),
              ElementsAre("2026-10-25: 4.00 EUR (4)", "2026-10-26: 2.00 EUR (2)"));
  // A service names no zone: the tenant's counts.
  Call service = call;
  service.principal.kind = Principal::Kind::kService;
  const auto report = Revenue(service, By(v1::GROUP_BY_YEAR));
  EXPECT_EQ(report.period().time_zone(), "Europe/Berlin");
  EXPECT_THAT(Lines(report), ElementsAre("2026: 6.00 EUR (6)"));
  EXPECT_EQ(Revenue(call, By(v1::GROUP_BY_DAY, "0001-01-01", "9999-12-31")).total().deal_count(), 6);
}

TEST_F(ReportsTest, SumsAreRoundedOnce) {
  Story story;
  for (const char* source : {"a", "b", "c"}) {
    dp::Deal deal;
    deal.set_source(source);
    Story::AddLine(deal, "", "1", "1.005", "EUR");
    Story::Price(deal);
    story.AddDeal(deal, Story::kWon);
  }
  HearAll(story);
  const auto report = Revenue(Reader(story), By(v1::GROUP_BY_SOURCE));
  EXPECT_THAT(Lines(report), ElementsAre("a: 1.00 EUR (1)", "b: 1.00 EUR (1)", "c: 1.00 EUR (1)"));
  EXPECT_EQ(Text(report.total().revenue()), "3.02 EUR");  // 3.015
}

TEST_F(ReportsTest, ProductsHaveTheirLinesTotals) {
  Story story;
  const std::string tea = story.AddProduct("Tea"), jam = story.AddProduct("Jam");
  dp::Deal deal;
  Story::AddLine(deal, tea, "2", "10", "EUR");
  Story::AddLine(deal, tea, "0.5", "2.50", "EUR");
  Story::AddLine(deal, jam, "3", "30", "EUR");
  Story::AddLine(deal, "", "1", "7", "EUR");  // a free line
  Story::Price(deal);
  const std::string first = story.AddDeal(deal, Story::kWon);
  story.AddDeal("100", "USD", "", Story::kWon);  // without lines
  HearAll(story);
  const auto report = Revenue(Reader(story), By(v1::GROUP_BY_PRODUCT));
  EXPECT_THAT(Lines(report),
              ElementsAre(jam + ": 30.00 EUR (1)", tea + ": 12.50 EUR (1)", ": 7.00 EUR, 100.00 USD (2)"));
  EXPECT_EQ(report.rows(0).label(), "Jam");
  EXPECT_EQ(report.rows(1).quantity(), "2.5");
  EXPECT_EQ(Text(report.total().revenue()), "49.50 EUR, 100.00 USD");
  EXPECT_EQ(report.total().deal_count(), 2) << "a deal with many products is one deal";
  // Fewer lines: the others are gone.
  story.UpdateDeal(first, [&](dp::Deal& d) {
    d.clear_lines();
    Story::AddLine(d, jam, "1", "5", "EUR");
  });
  HearAll(story);
  EXPECT_THAT(Lines(Revenue(Reader(story), By(v1::GROUP_BY_PRODUCT))),
              ElementsAre(jam + ": 5.00 EUR (1)", ": 100.00 USD (1)"));
}

TEST_F(ReportsTest, ComparesWithAsManyDaysBefore) {
  Story story;
  const auto won = [&](const char* time, const char* amount) {
    story.now = At(time);
    story.AddDeal(amount, "EUR", "", Story::kWon);
  };
  won("2026-10-31T12:00:00Z", "1");  // too old
  won("2026-11-01T00:00:00Z", "2");  // three days before the first
  won("2026-11-03T23:59:59Z", "3");
  won("2026-11-04T00:00:00Z", "10");
  won("2026-11-06T12:00:00Z", "20");
  won("2026-11-07T00:00:00Z", "40");  // too young
  HearAll(story);
  auto request = By(v1::GROUP_BY_DAY, "2026-11-04", "2026-11-06");
  request.set_compare_previous(true);
  const auto report = Revenue(Reader(story), request);
  ASSERT_EQ(report.rows_size(), 2);
  EXPECT_EQ(report.rows(0).key(), "2026-11-04");
  EXPECT_EQ(Text(report.rows(0).revenue()), "10.00 EUR");
  EXPECT_EQ(Text(report.rows(0).previous_revenue()), "2.00 EUR");  // of the 1st
  EXPECT_EQ(Text(report.rows(1).previous_revenue()), "3.00 EUR");  // of the 3rd, beside the 6th
  EXPECT_EQ(Text(report.total().revenue()), "30.00 EUR");
  EXPECT_EQ(Text(report.total().previous_revenue()), "5.00 EUR");
  EXPECT_EQ(report.total().previous_deal_count(), 2);
  request.mutable_period()->clear_from_date();
  Call call = Reader(story);
  EXPECT_EQ(ViolationsOf(loop_.Run(service_->GetRevenueReport(call, request)).status()).at(0).field,
            "period.from_date");
}

TEST_F(ReportsTest, NarrowsToPipelineAndOwner) {
  Story story;
  const std::string ann = story.AddUser("Ann"), bob = story.AddUser("Bob");
  story.AddDeal("1", "EUR", ann, Story::kWon);
  story.AddDeal("2", "EUR", bob, Story::kWon);
  dp::Deal other;
  other.set_pipeline_id(NewId("pipeline", absl::Now()));
  other.set_owner_id(ann);
  other.mutable_amount()->set_amount("4");
  other.mutable_amount()->set_currency_code("EUR");
  story.AddDeal(other, Story::kWon);
  HearAll(story);
  auto request = By(v1::GROUP_BY_EMPLOYEE);
  auto report = Revenue(Reader(story), request);
  EXPECT_THAT(Lines(report), ElementsAre(ann + ": 5.00 EUR (2)", bob + ": 2.00 EUR (1)"));
  EXPECT_EQ(report.rows(0).label(), "Ann");
  request.set_owner_id(ann);
  EXPECT_THAT(Lines(Revenue(Reader(story), request)), ElementsAre(ann + ": 5.00 EUR (2)"));
  request.set_pipeline_id(story.pipeline);
  EXPECT_THAT(Lines(Revenue(Reader(story), request)), ElementsAre(ann + ": 1.00 EUR (1)"));
  report = Revenue(Reader(story), By(v1::GROUP_BY_PIPELINE));
  EXPECT_EQ(report.rows(0).label(), "");  // not heard of yet
  EXPECT_EQ(report.rows(1).label(), "Sales");
  request.set_pipeline_id(ann);
  Call call = Reader(story);
  EXPECT_EQ(ViolationsOf(loop_.Run(service_->GetRevenueReport(call, request)).status()).at(0).field, "pipeline_id");
}

// Readers see what their rights cover, in every report.
TEST_F(ReportsTest, ScopesNarrowEveryReport) {
  Story story;
  const std::string north = NewId("team", absl::Now()), south = NewId("team", absl::Now());
  const std::string ann = story.AddUser("Ann", north), bob = story.AddUser("Bob", north),
                    cid = story.AddUser("Cid", south);
  int amount = 1;
  for (const auto& user : {ann, bob, cid}) {
    const std::string id = story.AddDeal(absl::StrCat(amount), "EUR", user);
    story.Pass(absl::Hours(1));
    story.MoveDeal(id, Story::kWon, user);
    story.AcceptLead(user);
    amount *= 10;
  }
  story.AddDeal("1000", "EUR", "", Story::kWon);  // nobody's
  HearAll(story);
  v1::GetFunnelReportRequest funnel;
  funnel.set_pipeline_id(story.pipeline);
  const auto revenue = [&](const Call& call) { return Text(Revenue(call, By(v1::GROUP_BY_MONTH)).total().revenue()); };
  const auto users = [&](const Call& call) {
    std::vector<std::string> names;
    const v1::EmployeeReport report = Employees(call);
    for (const auto& row : report.rows()) {
      names.push_back(
          absl::StrCat(row.name(), " ", row.leads_accepted_count(), row.moves_count(), row.deals_won_count()));
    }
    return names;
  };
  const Call all = Reader(story), team = Reader(story, type::v1::SCOPE_TEAM, ann, {north}),
             own = Reader(story, type::v1::SCOPE_OWN, ann, {north}),
             none = Reader(story, type::v1::SCOPE_UNSPECIFIED, ann);
  EXPECT_EQ(revenue(all), "1111.00 EUR");
  EXPECT_EQ(revenue(team), "11.00 EUR");
  EXPECT_EQ(revenue(own), "1.00 EUR");
  EXPECT_EQ(revenue(none), "");
  EXPECT_EQ(Funnel(all, funnel).deal_count(), 4);
  EXPECT_EQ(Funnel(team, funnel).deal_count(), 2);
  EXPECT_EQ(Funnel(own, funnel).deal_count(), 1);
  EXPECT_EQ(Funnel(own, funnel).stages(Story::kWon).entered_count(), 1);
  EXPECT_EQ(Funnel(none, funnel).deal_count(), 0);
  EXPECT_THAT(users(all), ElementsAre("Cid 111", "Bob 111", "Ann 111"));
  EXPECT_THAT(users(team), ElementsAre("Bob 111", "Ann 111"));
  EXPECT_THAT(users(own), ElementsAre("Ann 111"));
  EXPECT_THAT(users(none), ElementsAre());
  // Another's deals cannot be had by naming them.
  auto request = By(v1::GROUP_BY_PRODUCT);
  request.set_owner_id(cid);
  EXPECT_EQ(Revenue(team, request).total().deal_count(), 0);
  // Nor another tenant's.
  Story stranger;
  const Call foreign = Reader(stranger);
  EXPECT_EQ(revenue(foreign), "");
  EXPECT_THAT(users(foreign), ElementsAre());
  Call call = foreign;
  EXPECT_EQ(loop_.Run(service_->GetFunnelReport(call, funnel)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ReportsTest, SaysHowFarItIsAndWhetherThatIsBehind) {
  Story story;
  story.AddDeal("1", "EUR", "", Story::kWon);
  HearAll(story);
  auto report = Revenue(Reader(story), By(v1::GROUP_BY_MONTH));
  EXPECT_EQ(report.position(), absl::StrCat("deal_pipeline:", story.told["deal_pipeline"].size(), ",identity:1"));
  EXPECT_FALSE(report.stale());
  loop_.RunFor(milliseconds(20));  // the producers are asked in the background
  EXPECT_FALSE(Revenue(Reader(story), By(v1::GROUP_BY_MONTH)).stale());
  story.AddDeal("2", "EUR", "", Story::kWon);  // told, not heard
  const auto end = steady_clock::now() + std::chrono::seconds(10);
  while (!Revenue(Reader(story), By(v1::GROUP_BY_MONTH)).stale() && steady_clock::now() < end) {
    loop_.RunFor(milliseconds(100));
  }
  EXPECT_TRUE(Revenue(Reader(story), By(v1::GROUP_BY_MONTH)).stale());
  HearAll(story);
  EXPECT_FALSE(Revenue(Reader(story), By(v1::GROUP_BY_MONTH)).stale());
}

// ---- funnel ----

TEST_F(ReportsTest, TheFunnelCountsDealsByStage) {
  Story story(At("2026-03-02T08:00:00Z"));
  const std::string ann = story.AddUser("Ann");
  const auto begin = [&] { return story.AddDeal("1", "EUR", ann); };
  const auto move = [&](const std::string& id, int stage, absl::Duration after, const std::string& reason = "") {
    story.Pass(after);
    story.MoveDeal(id, stage, ann, reason);
  };
  const std::string won = begin(), back = begin(), lost = begin(), skipped = begin(), open = begin(), gone = begin();
  move(won, 1, absl::Hours(1));  // stays of 1, 1, 2, 4 ... hours: see below
  move(won, 2, absl::Hours(1));
  move(won, Story::kWon, absl::Hours(2));
  move(back, 1, absl::ZeroDuration());
  move(back, 0, absl::Hours(1));  // and back again
  move(lost, Story::kLost, absl::ZeroDuration(), "Too expensive");
  move(skipped, 2, absl::ZeroDuration());
  move(skipped, Story::kLost, absl::Hours(1), "Too expensive");
  move(gone, Story::kWon, absl::ZeroDuration());
  story.DeleteDeal(gone);                       // counts for nothing
  story.AddDeal("5", "EUR", ann, Story::kWon);  // imported: one stay
  const std::string again = begin();
  for (int stage : {1, 0, 1}) move(again, stage, absl::ZeroDuration());  // the same stage is not further on
  const std::string unexplained = begin();
  move(unexplained, Story::kLost, absl::Hours(1));
  story.now = At("2026-05-01T00:00:00Z");
  begin();  // of another period
  HearAll(story);

  v1::GetFunnelReportRequest request;
  request.set_pipeline_id(story.pipeline);
  request.mutable_period()->set_from_date("2026-03-01");
  request.mutable_period()->set_to_date("2026-03-31");
  const auto report = Funnel(Reader(story), request);
  EXPECT_EQ(report.deal_count(), 8);
  EXPECT_EQ(report.won_count(), 2);
  EXPECT_EQ(report.lost_count(), 3);
  EXPECT_EQ(report.conversion_percent(), "25.00");
  ASSERT_EQ(report.stages_size(), 5);
  std::vector<std::string> stages;
  for (const auto& stage : report.stages()) {
    stages.push_back(absl::StrCat(stage.entered_count(), " ", stage.current_count(), " ", stage.passed_count(), " ",
                                  stage.conversion_percent()));
  }
  EXPECT_THAT(stages,
              ElementsAre("7 2 4 57.14",  // all but the imported one; passed by won, back, skipped, again
                          "3 1 1 33.33",  // won, back, again; back and again went back
                          "2 0 1 50.00",  // won and skipped; to a lost stage is not on
                          "2 2 0 0.00", "3 3 0 0.00"));
  EXPECT_EQ(report.stages(0).stage_id(), story.stages[0]);
  EXPECT_EQ(report.stages(0).name(), "Stage, \"0\"");
  // Stays in the first stage that ended: won 1 h, back 4 h, lost 5 h, skipped 5 h, unexplained 1 h, again twice 0 h.
  EXPECT_DOUBLE_EQ(report.stages(0).dwell_median_seconds(), 1 * 3600);
  EXPECT_DOUBLE_EQ(report.stages(0).dwell_p90_seconds(), 5 * 3600);
  // won 1 h, back 1 h, again 0 h; won 2 h, skipped 1 h: between two values the median lies in the middle.
  EXPECT_DOUBLE_EQ(report.stages(1).dwell_median_seconds(), 3600);
  EXPECT_DOUBLE_EQ(report.stages(2).dwell_median_seconds(), 1.5 * 3600);
  EXPECT_DOUBLE_EQ(report.stages(Story::kWon).dwell_median_seconds(), 0);
  ASSERT_EQ(report.lost_reasons_size(), 2);
  EXPECT_EQ(report.lost_reasons(0).reason(), "Too expensive");
  EXPECT_EQ(report.lost_reasons(0).count(), 2);
  EXPECT_EQ(report.lost_reasons(1).reason(), "");
  request.set_source("fair");
  EXPECT_EQ(Funnel(Reader(story), request).deal_count(), 0);
  EXPECT_EQ(Funnel(Reader(story), request).conversion_percent(), "");
}

// ---- employees ----

TEST_F(ReportsTest, EmployeesShowWhatTheyDid) {
  Story story(At("2026-03-02T08:00:00Z"));
  const std::string north = NewId("team", absl::Now());
  const std::string ann = story.AddUser("Ann", north), bob = story.AddUser("Bob");
  const std::string first = story.AddDeal("10.5", "EUR", ann), second = story.AddDeal("20", "USD", ann);
  story.MoveDeal(first, Story::kWon, bob);  // moved by another than the owner
  story.MoveDeal(second, Story::kLost, ann);
  story.AcceptLead(bob);
  story.AddCompany("DE", bob);
  story.AddContact("DE", "", bob);
  story.now = At("2026-04-02T08:00:00Z");
  story.AcceptLead(bob);
  HearAll(story);
  v1::GetEmployeeReportRequest request;
  request.mutable_period()->set_from_date("2026-03-01");
  request.mutable_period()->set_to_date("2026-03-31");
  auto report = Employees(Reader(story), request);
  ASSERT_EQ(report.rows_size(), 2);
  EXPECT_EQ(report.rows(0).user_id(), ann);
  EXPECT_EQ(report.rows(0).name(), "Ann");
  EXPECT_EQ(report.rows(0).deals_created_count(), 2);
  EXPECT_EQ(report.rows(0).deals_won_count(), 1);
  EXPECT_EQ(report.rows(0).deals_lost_count(), 1);
  EXPECT_EQ(report.rows(0).moves_count(), 1);
  EXPECT_EQ(report.rows(0).conversion_percent(), "50.00");
  EXPECT_EQ(Text(report.rows(0).revenue()), "10.50 EUR");
  EXPECT_EQ(report.rows(1).name(), "Bob");
  EXPECT_EQ(report.rows(1).leads_accepted_count(), 1);
  EXPECT_EQ(report.rows(1).moves_count(), 1);
  EXPECT_EQ(report.rows(1).contacts_created_count(), 2);
  EXPECT_EQ(report.rows(1).conversion_percent(), "");
  request.set_team_id(north);
  report = Employees(Reader(story), request);
  ASSERT_EQ(report.rows_size(), 1);
  EXPECT_EQ(report.rows(0).name(), "Ann");
}

// ---- watching ----

template <typename Report>
class Screen final : public rpc::Stream<Report> {
 public:
  Async<> Send(const Report& report) override {
    if (gone) co_return absl::CancelledError("the caller has gone");
    times.push_back(steady_clock::now());
    shown.push_back(report);
    co_return absl::OkStatus();
  }
  bool cancelled() const override { return gone; }

  bool gone = false;
  std::vector<Report> shown;
  std::vector<steady_clock::time_point> times;
};

TEST_F(ReportsTest, AWatchedReportFollowsEveryChange) {
  Story story;
  const std::string ann = story.AddUser("Ann");
  const std::string id = story.AddDeal("5", "EUR", ann);
  HearAll(story);
  Call call = Reader(story);
  call.deadline = steady_clock::time_point::max();
  const auto request = By(v1::GROUP_BY_MONTH, "2026-01-01", "2026-12-31");
  v1::GetFunnelReportRequest funnel_request;
  funnel_request.set_pipeline_id(story.pipeline);
  funnel_request.mutable_period()->set_to_date("2026-12-31");
  Screen<v1::RevenueReport> screen;
  Screen<v1::FunnelReport> funnel;
  int ended = 0;
  absl::Status status;
  Call other = call;
  asio::co_spawn(loop_.executor(), service_->WatchRevenueReport(call, request, screen),
                 [&](std::exception_ptr error, absl::Status s) { status.Update(s), ended += error ? 100 : 1; });
  asio::co_spawn(loop_.executor(), service_->WatchFunnelReport(other, funnel_request, funnel),
                 [&](std::exception_ptr error, absl::Status s) { status.Update(s), ended += error ? 100 : 1; });
  loop_.Until([&] { return screen.shown.size() == 1 && funnel.shown.size() == 1; });  // at once
  EXPECT_EQ(screen.shown[0].total().deal_count(), 0);
  EXPECT_EQ(live_->watcher_count(), 2u);

  story.Pass(absl::Hours(1));
  story.MoveDeal(id, 1, ann);
  HearAll(story);
  loop_.Until([&] { return funnel.shown.size() == 2; });
  EXPECT_EQ(funnel.shown[1].stages(1).current_count(), 1);
  story.MoveDeal(id, Story::kWon, ann);
  HearAll(story);
  loop_.Until([&] { return screen.shown.size() == 2; });
  EXPECT_EQ(Text(screen.shown[1].total().revenue()), "5.00 EUR");
  EXPECT_NE(screen.shown[1].position(), screen.shown[0].position());

  // A burst goes into few answers, never more than ten a second, and the last one is right.
  const size_t before = screen.shown.size();
  const auto burst = steady_clock::now();
  for (int i = 0; i < 40; ++i) {
    story.AddDeal("1", "EUR", ann, Story::kWon);
    HearAll(story);
  }
  loop_.Until([&] { return Text(screen.shown.back().total().revenue()) == "45.00 EUR"; });
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - burst).count();
  EXPECT_LE(screen.shown.size() - before, static_cast<size_t>(took / 100 + 2));
  for (size_t i = 2; i < screen.times.size(); ++i) {
    EXPECT_GE(screen.times[i] - screen.times[i - 1], milliseconds(50)) << "sent in a row";
  }

  // Nothing is sent for what does not show.
  loop_.RunFor(milliseconds(300));
  const size_t still = screen.shown.size();
  story.AddContact("DE");
  HearAll(story);
  loop_.RunFor(milliseconds(1500));
  EXPECT_EQ(screen.shown.size(), still);

  // Another replica has applied it: nobody rings here, the position tells.
  Servers::Get().Sql(absl::StrCat("UPDATE analytics.deal_fact SET amount = amount + 100 WHERE tenant_id = ", Id(story),
                                  " AND id = '", ParseId(id)->uuid.ToString(),
                                  "'; UPDATE analytics.position SET seq = seq + 1 WHERE tenant_id = ", Id(story)));
  const auto silent = steady_clock::now();
  loop_.Until([&] { return screen.shown.size() > still; });
  EXPECT_EQ(Text(screen.shown.back().total().revenue()), "145.00 EUR");
  EXPECT_LT(steady_clock::now() - silent, std::chrono::seconds(3));

  screen.gone = funnel.gone = true;
  loop_.Until([&] { return ended >= 2; });
  EXPECT_EQ(ended, 2);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(live_->watcher_count(), 0u);
}

TEST_F(ReportsTest, AWatchThatCannotBeginSaysWhy) {
  Story story;
  HearAll(story);
  Call call = Reader(story);
  Screen<v1::FunnelReport> screen;
  v1::GetFunnelReportRequest request;
  request.set_pipeline_id(NewId("pipeline", absl::Now()));
  EXPECT_EQ(loop_.Run(service_->WatchFunnelReport(call, request, screen)).code(), absl::StatusCode::kNotFound);
  // And one whose time is over ends.
  call.deadline = steady_clock::now() + milliseconds(300);
  request.set_pipeline_id(story.pipeline);
  EXPECT_TRUE(loop_.Run(service_->WatchFunnelReport(call, request, screen)).ok());
  EXPECT_EQ(screen.shown.size(), 1u);
  EXPECT_EQ(live_->watcher_count(), 0u);
}

}  // namespace
}  // namespace crm::analytics
