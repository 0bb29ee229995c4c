// Projections on the real PostgreSQL: what is heard ends in the tables, whatever comes twice or late, and equals a
// recount.
#include <boost/asio/co_spawn.hpp>
#include <pqxx/pqxx>

#include "services/analytics/sql.h"
#include "tests/integration/analytics/analytics_fixture.h"
#include "tests/unit/common/base/seed.h"

namespace crm::analytics {
namespace {

class ProjectionTest : public AnalyticsTest {
 protected:
  // Everything that the tenant's projections hold.
  std::vector<std::string> Living(const Story& story) {
    Call call = Reader(story);
    auto rows = loop_.Run(db_->Read(call, LivingStatement(), pg::Params().Int(100'000), pg::Work::kList));
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::vector<std::string> all;
    for (int i = 0; rows.ok() && i < rows->size(); ++i) {
      all.push_back(absl::StrCat(rows->Text(i, 0), " ", rows->Text(i, 1)));
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  void ExpectEqualsRecount(const Story& story) {
    const auto response = Recounted(story);
    EXPECT_TRUE(response.equal()) << response.ShortDebugString();
    EXPECT_EQ(response.comparisons_size(), static_cast<int>(Projections().size()));
    for (const auto& comparison : response.comparisons()) {
      EXPECT_EQ(comparison.row_count(), comparison.recounted_row_count()) << comparison.projection();
    }
  }
};

// The migrations and rules/projection.h say the same.
TEST_F(ProjectionTest, TablesHaveTheirProjectionsColumns) {
  const std::map<Column::Type, std::vector<std::string>> types = {
      {Column::Type::kBool, {"boolean"}},
      {Column::Type::kInt, {"smallint", "integer", "bigint"}},
      {Column::Type::kText, {"text"}},
      {Column::Type::kId, {"uuid"}},
      {Column::Type::kTime, {"timestamp with time zone"}},
      {Column::Type::kDecimal, {"numeric"}},
      {Column::Type::kIds, {"uuid[]"}},
      {Column::Type::kTexts, {"text[]"}},
      {Column::Type::kInts, {"integer[]"}}};
  for (const Projection* projection : Projections()) {
    const auto columns = Servers::Get().Sql(
        absl::StrCat("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'analytics.",
                     projection->table, "'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"));
    ASSERT_EQ(columns.size(), projection->columns.size() + 1) << projection->table;
    EXPECT_EQ(columns[0][0], "tenant_id");
    std::string key = "tenant_id";
    for (size_t i = 0; i < projection->columns.size(); ++i) {
      const Column& column = projection->columns[i];
      EXPECT_EQ(columns[i + 1][0], column.name) << projection->table;
      const auto& good = types.at(column.type);
      EXPECT_NE(std::find(good.begin(), good.end(), columns[i + 1][1]), good.end())
          << projection->table << "." << column.name << " is " << columns[i + 1][1];
      if (i < projection->key_count) key += ", " + column.name;
    }
    EXPECT_NE(Servers::Get()
                  .Value(absl::StrCat("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND "
                                      "conrelid = 'analytics.",
                                      projection->table, "'::regclass"))
                  .find("(" + key + ")"),
              std::string::npos)
        << projection->table;
  }
}

TEST_F(ProjectionTest, AnyLifeOfDealsEqualsTheSimplestSumAndTheRecount) {
  auto random = SeededRandom();
  for (int life = 0; life < 4; ++life) {
    Story story;
    for (int i = 0; i < 60; ++i) {
      story.Step(random);
      HearAll(story);
    }
    ExpectEqualsRecount(story);
    // Sums in SQL against those of the deals themselves: exact, unrounded.
    const auto naive = story.Naive([&](const dp::Deal& deal) { return story.CountryOf(deal); });
    std::map<std::string, Decimal> sums;
    for (const auto& [key, sum] : naive.sums) sums[key.second] += sum;
    for (const auto& [currency, sum] : sums) {
      const std::string living = Servers::Get().Value(
          absl::StrCat("SELECT sum(amount) FROM analytics.deal_fact WHERE tenant_id = ", Id(story),
                       " AND won_time IS NOT NULL AND NOT deleted AND currency_code = '", currency, "'"));
      EXPECT_EQ(*Decimal::Parse(living), sum) << currency;
    }
    // ... and every grouping of the report.
    const auto check = [&](v1::GroupBy group_by, const Story::Revenue& expected) {
      const auto report = Revenue(Reader(story), By(group_by));
      std::map<std::string, int> counts;
      std::map<std::pair<std::string, std::string>, std::string> shown;
      for (const auto& row : report.rows()) {
        counts[row.key()] = row.deal_count();
        for (const auto& money : row.revenue()) shown[{row.key(), money.currency_code()}] = money.amount();
      }
      EXPECT_EQ(counts, expected.counts) << v1::GroupBy_Name(group_by);
      std::map<std::string, Decimal> totals;
      for (const auto& [key, sum] : expected.sums) {
        totals[key.second] += sum;
        if (sum.IsZero()) continue;
        EXPECT_EQ(shown[key], MakeMoney(sum.Rounded(MinorDigits(key.second)), key.second)->amount())
            << v1::GroupBy_Name(group_by) << " " << key.first;
      }
      for (const auto& money : report.total().revenue()) {
        const Decimal& sum = totals.at(money.currency_code());
        EXPECT_EQ(money.amount(),
                  MakeMoney(sum.Rounded(MinorDigits(money.currency_code())), money.currency_code())->amount());
      }
      EXPECT_EQ(report.total().deal_count(), [&] {
        int all = 0;
        for (const auto& [key, count] : naive.counts) all += count;
        return all;
      }());
    };
    const auto period = [](Period unit) {
      return [unit](const dp::Deal& deal) {
        return PeriodName(PeriodStart(LocalDay(FromTimestamp(deal.won_time()), absl::UTCTimeZone()), unit), unit);
      };
    };
    check(v1::GROUP_BY_DAY, story.Naive(period(Period::kDay)));
    check(v1::GROUP_BY_WEEK, story.Naive(period(Period::kWeek)));
    check(v1::GROUP_BY_MONTH, story.Naive(period(Period::kMonth)));
    check(v1::GROUP_BY_QUARTER, story.Naive(period(Period::kQuarter)));
    check(v1::GROUP_BY_YEAR, story.Naive(period(Period::kYear)));
    check(v1::GROUP_BY_EMPLOYEE, story.Naive([](const dp::Deal& deal) { return deal.owner_id(); }));
    check(v1::GROUP_BY_PIPELINE, story.Naive([](const dp::Deal& deal) { return deal.pipeline_id(); }));
    check(v1::GROUP_BY_SOURCE, story.Naive([](const dp::Deal& deal) { return deal.source(); }));
    check(v1::GROUP_BY_COUNTRY, naive);
    check(v1::GROUP_BY_PRODUCT, story.NaiveByProduct());
  }
}

TEST_F(ProjectionTest, WhatIsHeardTwiceOrLateChangesNothing) {
  auto random = SeededRandom();
  Story story;
  for (int i = 0; i < 80; ++i) story.Step(random);
  HearAll(story);
  const auto once = Living(story);
  ASSERT_GT(once.size(), 50u);
  // Every event once more, then the whole story backwards: each is older than what is there.
  for (const auto& [producer, events] : story.told) {
    for (const auto& event : events) Hear(event);
  }
  EXPECT_EQ(Living(story), once);
  for (const auto& [producer, events] : story.told) {
    for (auto event = events.rbegin(); event != events.rend(); ++event) Hear(*event);
  }
  EXPECT_EQ(Living(story), once);
}

// Lanes of different producers run as they like, and within one only a record's own events are in order for certain: a
// dead letter holds up those of its record, not the others.
TEST_F(ProjectionTest, TheOrderAmongRecordsDoesNotMatter) {
  auto random = SeededRandom();
  Story story;
  for (int i = 0; i < 80; ++i) story.Step(random);
  HearAll(story);
  const auto in_order = Living(story);
  Servers::Get().Clear("analytics");

  std::map<std::string, std::vector<const events::v1::Event*>> records;
  for (const auto& [producer, events] : story.told) {
    for (const auto& event : events) records[event.record_id()].push_back(&event);
  }
  std::vector<std::string> turns;
  for (const auto& [record, events] : records) turns.insert(turns.end(), events.size(), record);
  std::shuffle(turns.begin(), turns.end(), random);
  std::map<std::string, size_t> next;
  for (const auto& record : turns) Hear(*records[record][next[record]++]);
  EXPECT_EQ(Living(story), in_order);
  *shown_ = &story;
  ExpectEqualsRecount(story);
}

// The real consumers: positions, groups, asynchronous commit; twice over the same logs.
TEST_F(ProjectionTest, ConsumersCatchUpFromTheProducersLogs) {
  auto random = SeededRandom();
  Story story;
  for (int i = 0; i < 150; ++i) story.Step(random);
  *shown_ = &story;
  pg::Db worker(Servers::Get().Db("analytics", "analytics_worker"), Loops());
  redis::Options options;
  options.port = Servers::Get().redis_port();
  redis::Client redis(options, Loops());
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<events::Subscription>> subscriptions;
    int running = 0;
    for (const char* name : kNames) {
      events::ConsumerOptions consumer;
      consumer.service = "analytics";
      consumer.producer = name;
      consumer.heads_every = milliseconds(200);
      consumer.asynchronous_commit = true;
      subscriptions.push_back(
          events::MakeConsumer(*db_, worker, redis, std::make_unique<StorySource>(shown_, name), consumer));
      events::Consumer& to = *subscriptions.back();
      if (name == std::string("contact")) HearContact(to);
      if (name == std::string("deal_pipeline")) HearDealPipeline(to, *db_);
      if (name == std::string("identity")) HearIdentity(to);
      if (name == std::string("messaging")) HearMessaging(to);
      if (name == std::string("scheduler")) HearScheduler(to);
      ++running;
      asio::co_spawn(loop_.executor(), subscriptions.back()->Run(),
                     [&running](std::exception_ptr, absl::Status) { --running; });
    }
    const auto end = steady_clock::now() + std::chrono::seconds(30);
    const std::string reached =
        absl::StrCat("contact:", story.told["contact"].size(), ",deal_pipeline:", story.told["deal_pipeline"].size(),
                     ",identity:", story.told["identity"].size());
    std::string position;
    while (position != reached && steady_clock::now() < end) {
      loop_.RunFor(milliseconds(50));
      const Call call = Reader(story);
      position = *loop_.Run(PositionNow(*db_, call));
    }
    EXPECT_EQ(position, reached);
    for (auto& subscription : subscriptions) subscription->Stop();
    loop_.Until([&] { return running == 0; });
    EXPECT_EQ(Servers::Get().Value("SELECT count(*) FROM analytics.dead_letter"), "0");
    ExpectEqualsRecount(story);
    for (int i = 0; i < 30; ++i) story.Step(random);  // and goes on where it was
  }
}

TEST_F(ProjectionTest, RecountsNoticeWhatWasTamperedWith) {
  Story story;
  const std::string first = story.AddDeal("10", "EUR", "", Story::kWon), second = story.AddDeal("20", "EUR", "");
  HearAll(story);
  ExpectEqualsRecount(story);
  Servers::Get().Sql(absl::StrCat("UPDATE analytics.deal_fact SET amount = 10.000001 WHERE tenant_id = ", Id(story),
                                  " AND id = '", ParseId(first)->uuid.ToString(), "'"));
  Servers::Get().Sql(absl::StrCat("DELETE FROM analytics.stage_entry_fact WHERE tenant_id = ", Id(story),
                                  " AND deal_id = '", ParseId(second)->uuid.ToString(), "'"));
  const auto response = Recounted(story);
  EXPECT_FALSE(response.equal());
  for (const auto& comparison : response.comparisons()) {
    const bool touched = comparison.projection() == "deal_fact" || comparison.projection() == "stage_entry_fact";
    EXPECT_EQ(comparison.difference_count(), touched ? 1 : 0) << comparison.projection();
  }
  EXPECT_TRUE(response.has_time());
}

// Only what the projections have heard is recounted: being behind is no difference.
TEST_F(ProjectionTest, RecountsGoAsFarAsThePositions) {
  Story story;
  story.AddDeal("10", "EUR", "", Story::kWon);
  HearAll(story);
  story.AddDeal("20", "EUR", "", Story::kWon);
  ExpectEqualsRecount(story);
  // A producer that has lost its log is an error, not an equality.
  auto kept = std::exchange(story.told["deal_pipeline"], {});
  Call call = Reader(story);
  EXPECT_EQ(loop_.Run(service_->RecountReports(call, {})).status().code(), absl::StatusCode::kDataLoss);
}

// What live screens are told adds up to the revenue, and is written with the effect.
TEST_F(ProjectionTest, IncrementsLieInTheOutboxWithTheirReaders) {
  auto random = SeededRandom();
  Story story;
  for (int i = 0; i < 100; ++i) story.Step(random);
  HearAll(story);
  pqxx::connection admin(Servers::Get().Admin());
  pqxx::nontransaction session(admin);
  std::map<std::pair<std::string, std::string>, Decimal> by_owner;
  std::map<std::string, int> counts;
  for (const auto& row : session.exec("SELECT event FROM analytics.outbox WHERE tenant_id = " + Id(story))) {
    events::v1::Event event;
    const pqxx::binarystring bytes(row[0]);
    ASSERT_TRUE(event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    EXPECT_EQ(event.type(), "report.changed");
    EXPECT_EQ(event.service(), "analytics");
    v1::ReportChanged changed;
    ASSERT_TRUE(event.payload().UnpackTo(&changed));
    EXPECT_EQ(event.record_id(), changed.deal_id());
    EXPECT_EQ(event.owner_id(), changed.owner_id());
    EXPECT_EQ(event.team_id(), story.teams[changed.owner_id()]);
    counts[changed.owner_id()] += changed.deal_count_delta();
    if (changed.has_revenue_delta()) {
      by_owner[{changed.owner_id(), changed.revenue_delta().currency_code()}] +=
          *Decimal::Parse(changed.revenue_delta().amount());
    }
  }
  const auto naive = story.Naive([](const dp::Deal& deal) { return deal.owner_id(); });
  for (const auto& [key, sum] : naive.sums) EXPECT_EQ(by_owner[key], sum) << key.first;
  for (const auto& [key, sum] : by_owner) {
    if (!naive.sums.contains(key)) {
      EXPECT_TRUE(sum.IsZero()) << key.first;
    }
  }
  for (const auto& [owner, count] : counts) {
    EXPECT_EQ(count, naive.counts.contains(owner) ? naive.counts.at(owner) : 0) << owner;
  }
}

// A broken event is refused as such; nothing of it is written.
TEST_F(ProjectionTest, AnEventWithABrokenIdLeavesNothingBehind) {
  Story story;
  HearAll(story);
  const auto before = Living(story);
  dp::Deal deal;
  deal.set_owner_id("user_not-an-id");
  story.AddDeal(deal);
  EXPECT_EQ(loop_.Run(ear_.Hear(*db_, story.told["deal_pipeline"].back())).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Living(story), before);
}

// ---- plans ----

// As the service's role, with the parameters of a report over one month of a tenant that has ten years beside small
// ones.
TEST_F(ProjectionTest, ARevenueReportOverAPeriodUsesTheIndexOnTime) {
  const std::string big = "'0198c000-0000-7000-8000-000000000001'", small = "'0198c000-0000-7000-8000-000000000002'";
  const auto fill = [&](const std::string& tenant, int deals) {
    Servers::Get().Sql(absl::StrCat(
        "INSERT INTO analytics.deal_fact SELECT ", tenant,
        ", gen_random_uuid(), 1, '0198c000-0000-7000-8000-00000000000a', gen_random_uuid(), 2, 1, NULL, NULL, "
        "gen_random_uuid(), NULL, '', n, 'EUR', t, t, CASE WHEN n % 3 = 0 THEN t END, NULL, '', false "
        "FROM (SELECT n, '2016-01-01'::timestamptz + n * interval '10 years' / ",
        deals, " AS t FROM generate_series(1, ", deals, ") n) s"));
    Servers::Get().Sql(absl::StrCat("INSERT INTO analytics.company_fact SELECT ", tenant,
                                    ", gen_random_uuid(), 1, '', 'DE' FROM generate_series(1, ", deals / 10, ")"));
  };
  fill(big, 60'000);
  fill(small, 40);
  Servers::Get().Sql("ANALYZE analytics.deal_fact, analytics.company_fact");

  pqxx::connection connection(Servers::Get().Db("analytics").conninfo);
  connection.prepare("settings", "SELECT set_config('app.tenant', $1, false)");
  pqxx::work work(connection);
  work.exec("SET search_path = analytics; SET plan_cache_mode = force_custom_plan");
  const auto plan = [&](const std::string& tenant, const std::string& unit, const std::string& from,
                        const std::string& to) {
    work.exec(absl::StrCat("SELECT set_config('app.tenant', ", tenant, ", false)"));
    work.exec("DEALLOCATE ALL; PREPARE report AS " + sql::kRevenue.sql);
    std::string text;
    for (const auto& row :
         work.exec(absl::StrCat("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE report('", from, "', '", from, "', '",
                                to, "', 3, NULL, '{}', NULL, NULL, 0, '", unit, "', 'Europe/Berlin')"))) {
      text += std::string(row[0].c_str()) + "\n";
    }
    return text;
  };
  const std::string month = plan(big, "month", "2020-03-01", "2020-04-01");
  EXPECT_NE(month.find("deal_fact_won_time"), std::string::npos) << month;
  EXPECT_EQ(month.find("Seq Scan"), std::string::npos) << month;
  EXPECT_EQ(month.find("company_fact"), std::string::npos) << "countries are looked up only where asked for\n" << month;
  const std::string country = plan(big, "country", "2020-03-01", "2020-04-01");
  EXPECT_NE(country.find("deal_fact_won_time"), std::string::npos) << country;
  EXPECT_NE(country.find("company_fact"), std::string::npos) << country;
  const std::string other = plan(small, "day", "2020-03-01", "2020-04-01");
  EXPECT_EQ(other.find("Seq Scan on deal_fact"), std::string::npos) << other;
}

}  // namespace
}  // namespace crm::analytics
