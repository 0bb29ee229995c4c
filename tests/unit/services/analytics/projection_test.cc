#include "services/analytics/rules/projection.h"

#include <gtest/gtest.h>

#include "services/analytics/rules/recount.h"
#include "tests/unit/common/base/seed.h"
#include "tests/unit/services/analytics/story.h"

namespace crm::analytics {
namespace {

// Applies deal events as a consumer does, each with the row that the one before has left.
struct Projector {
  Changes Tell(const events::v1::Event& event) {
    const auto found = deals.find(event.record_id());
    const Row* before = found == deals.end() ? nullptr : &found->second;
    absl::StatusOr<Changes> changes = absl::InternalError("not a deal's event");
    const auto offer = [&](auto payload) {
      if (event.payload().UnpackTo(&payload)) changes = Project(event, payload, before);
    };
    offer(dp::DealCreated());
    offer(dp::DealMoved());
    offer(dp::DealUpdated());
    offer(dp::DealDeleted());
    offer(dp::DealUndeleted());
    EXPECT_TRUE(changes.ok()) << changes.status();
    for (const Row& row : changes->rows) {
      if (&row.projection() == &kDealFact) deals.insert_or_assign(event.record_id(), row);
    }
    return *changes;
  }
  std::map<std::string, Row> deals;
};

std::vector<Row> RowsOf(const Changes& changes, const Projection& projection) {
  std::vector<Row> rows;
  for (const Row& row : changes.rows) {
    if (&row.projection() == &projection) rows.push_back(row);
  }
  return rows;
}

TEST(Projection, ADealBeginsWithItsLinesAndItsFirstStay) {
  Story story;
  const std::string user = story.AddUser("Ann", NewId("team", absl::Now()));
  dp::Deal deal;
  deal.set_owner_id(user);
  deal.set_source("fair");
  Story::AddLine(deal, story.AddProduct("Tea"), "2.5", "10.123456", "EUR");
  Story::AddLine(deal, "", "1", "0.000001", "EUR");
  Story::Price(deal);
  const std::string id = story.AddDeal(deal);
  const Changes changes = Projector().Tell(story.told["deal_pipeline"].back());
  ASSERT_EQ(changes.rows.size(), 4u);
  const Row& row = changes.rows[0];
  EXPECT_EQ(&row.projection(), &kDealFact);
  EXPECT_EQ(row.Get<Uuid>("id"), ParseId(id)->uuid);
  EXPECT_EQ(row.Get<Uuid>("owner_id"), ParseId(user)->uuid);
  EXPECT_EQ(row.Get<Uuid>("team_id"), ParseId(story.teams[user])->uuid);
  EXPECT_EQ(row.Get<Decimal>("amount").ToString(), "10.123457");  // exact
  EXPECT_EQ(row.Get<int64_t>("visit"), 1);
  EXPECT_FALSE(row.Has("won_time"));
  EXPECT_FALSE(row.Has("company_id"));
  const auto lines = RowsOf(changes, kDealLineFact);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].Get<Decimal>("quantity").ToString(), "2.5");
  EXPECT_FALSE(lines[1].Has("product_id"));
  const auto stays = RowsOf(changes, kStageEntryFact);
  ASSERT_EQ(stays.size(), 1u);
  EXPECT_FALSE(stays[0].Has("leave_time"));
}

TEST(Projection, AMoveEndsAStayAndBeginsTheNext) {
  Story story;
  Projector projector;
  const std::string user = story.AddUser("Ann");
  const std::string id = story.AddDeal("100", "EUR", user);
  projector.Tell(story.told["deal_pipeline"].back());
  const absl::Time begun = story.now;
  story.Pass(absl::Hours(5));
  story.MoveDeal(id, 1, user);
  const Changes changes = projector.Tell(story.told["deal_pipeline"].back());
  const auto stays = RowsOf(changes, kStageEntryFact);
  ASSERT_EQ(stays.size(), 2u);
  EXPECT_EQ(stays[0].Get<int64_t>("visit"), 1);
  EXPECT_EQ(stays[0].Get<absl::Time>("enter_time"), begun);
  EXPECT_EQ(stays[0].Get<absl::Time>("leave_time"), begun + absl::Hours(5));
  EXPECT_EQ(stays[1].Get<int64_t>("visit"), 2);
  EXPECT_EQ(stays[1].Get<absl::Time>("enter_time"), begun + absl::Hours(5));
  const auto activity = RowsOf(changes, kActivityFact);
  ASSERT_EQ(activity.size(), 1u);
  EXPECT_EQ(activity[0].Get<int64_t>("kind"), static_cast<int64_t>(Activity::kDealMoved));
  EXPECT_EQ(activity[0].Get<Uuid>("user_id"), ParseId(user)->uuid);
  // Heard again, it changes nothing of the deal.
  const Changes again = projector.Tell(story.told["deal_pipeline"].back());
  EXPECT_TRUE(RowsOf(again, kDealFact).empty());
  EXPECT_TRUE(RowsOf(again, kStageEntryFact).empty());
  EXPECT_TRUE(again.increments.empty());
}

TEST(Projection, LettersAndTasksCountForPeople) {
  const std::string ann = NewId("user", absl::Now()), ben = NewId("user", absl::Now());
  events::v1::Event event;
  event.set_service("messaging");
  event.set_seq(7);
  event.set_actor_id("service_messaging");
  const auto counted = [&](const auto& payload) {
    auto changes = Project(event, payload, nullptr);
    EXPECT_TRUE(changes.ok()) << changes.status();
    std::vector<std::pair<int64_t, std::string>> found;
    for (const Row& row : RowsOf(*changes, kActivityFact)) {
      found.emplace_back(row.Get<int64_t>("kind"), TypeId("user", row.Get<Uuid>("user_id")));
    }
    return found;
  };
  using Found = std::vector<std::pair<int64_t, std::string>>;
  messaging::v1::MessageSent sent;
  EXPECT_EQ(counted(sent), Found()) << "a rule's letter is nobody's";
  sent.mutable_message()->set_author_id(ann);
  EXPECT_EQ(counted(sent), (Found{{4, ann}}));
  messaging::v1::MessageReceived received;
  received.mutable_message()->set_owner_id(ben);
  EXPECT_EQ(counted(received), (Found{{5, ben}}));
  scheduler::v1::TaskCompleted completed;
  completed.mutable_task()->set_owner_id(ann);
  EXPECT_EQ(counted(completed), (Found{{6, ann}})) << "by a rule, for whose it was";
  event.set_actor_id(ben);
  EXPECT_EQ(counted(completed), (Found{{6, ben}}));
}

TEST(Projection, WhatProgramsDoIsNoEmployeesActivity) {
  Story story;
  Projector projector;
  const std::string id = story.AddDeal("100", "EUR", "");
  projector.Tell(story.told["deal_pipeline"].back());
  for (const std::string actor : {"service_scheduler", "", "key_01h455vb4pex5vsknk084sn02q"}) {
    story.MoveDeal(id, actor.empty() ? 2 : 1, actor);
    EXPECT_TRUE(RowsOf(projector.Tell(story.told["deal_pipeline"].back()), kActivityFact).empty()) << actor;
  }
}

TEST(Projection, RefusesIdsThatAreNone) {
  Story story;
  story.AddDeal("1", "EUR", "");
  events::v1::Event event = story.told["deal_pipeline"].back();
  for (const char* field : {"id", "pipeline_id", "stage_id", "owner_id", "company_id"}) {
    dp::DealCreated created;
    ASSERT_TRUE(story.told["deal_pipeline"].back().payload().UnpackTo(&created));
    created.mutable_deal()->GetReflection()->SetString(created.mutable_deal(),
                                                       dp::Deal::descriptor()->FindFieldByName(field), "lead_1");
    EXPECT_EQ(Project(event, created, nullptr).status().code(), absl::StatusCode::kInvalidArgument) << field;
  }
}

// ---- increments ----

struct Told {
  std::string owner, delta, stage;
  int count;
};

TEST(Projection, IncrementsTellWhatRevenueGainsAndLoses) {
  Story story;
  Projector projector;
  const std::string ann = story.AddUser("Ann", NewId("team", absl::Now())), bob = story.AddUser("Bob");
  const auto last = [&] {
    std::vector<v1::ReportChanged> told;
    for (const Increment& increment : projector.Tell(story.told["deal_pipeline"].back()).increments) {
      EXPECT_EQ(increment.owner_id, increment.changed.owner_id());
      EXPECT_EQ(increment.team_id, story.teams[increment.owner_id]);
      told.push_back(increment.changed);
    }
    return told;
  };
  const std::string id = story.AddDeal("100.5", "EUR", ann);
  auto told = last();
  ASSERT_EQ(told.size(), 1u);  // a stage was entered
  EXPECT_EQ(told[0].revenue_delta().amount(), "0.00");
  EXPECT_EQ(told[0].deal_count_delta(), 0);
  EXPECT_FALSE(told[0].has_won_time());
  EXPECT_EQ(told[0].stage_id(), story.stages[0]);

  story.UpdateDeal(id, [](dp::Deal& deal) { deal.set_title("Another title"); });
  EXPECT_TRUE(last().empty());
  story.UpdateDeal(id, [](dp::Deal& deal) { deal.mutable_amount()->set_amount("120"); });
  EXPECT_TRUE(last().empty()) << "an open deal's amount is no revenue";

  story.MoveDeal(id, Story::kWon, bob);
  told = last();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].revenue_delta().amount(), "120.00");
  EXPECT_EQ(told[0].revenue_delta().currency_code(), "EUR");
  EXPECT_EQ(told[0].deal_count_delta(), 1);
  EXPECT_EQ(FromTimestamp(told[0].won_time()), story.now);
  EXPECT_EQ(told[0].stage_id(), story.stages[Story::kWon]);
  EXPECT_EQ(told[0].pipeline_id(), story.pipeline);

  story.UpdateDeal(id, [](dp::Deal& deal) { deal.mutable_amount()->set_amount("100.000001"); });
  told = last();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].revenue_delta().amount(), "-19.999999");
  EXPECT_EQ(told[0].deal_count_delta(), 0);

  story.UpdateDeal(id, [&](dp::Deal& deal) {
    deal.set_owner_id(bob);
    deal.clear_team_id();
  });
  told = last();
  ASSERT_EQ(told.size(), 2u);  // each reader sees what concerns them
  EXPECT_EQ(told[0].owner_id(), ann);
  EXPECT_EQ(told[0].revenue_delta().amount(), "-100.000001");
  EXPECT_EQ(told[0].deal_count_delta(), -1);
  EXPECT_EQ(told[1].owner_id(), bob);
  EXPECT_EQ(told[1].revenue_delta().amount(), "100.000001");
  EXPECT_EQ(told[1].deal_count_delta(), 1);

  story.UpdateDeal(id, [](dp::Deal& deal) { deal.mutable_amount()->set_currency_code("JPY"); });
  told = last();
  ASSERT_EQ(told.size(), 2u);  // no sum of two currencies
  EXPECT_EQ(told[0].revenue_delta().currency_code(), "EUR");
  EXPECT_EQ(told[1].revenue_delta().currency_code(), "JPY");

  story.DeleteDeal(id);
  told = last();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].deal_count_delta(), -1);
  story.UpdateDeal(id, [](dp::Deal& deal) { deal.mutable_amount()->set_amount("5"); });
  EXPECT_TRUE(last().empty()) << "deleted deals count for nothing";
  story.UndeleteDeal(id);
  told = last();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].revenue_delta().amount(), "5");
  EXPECT_EQ(told[0].deal_count_delta(), 1);

  const absl::Time won = story.now;
  story.Pass(absl::Hours(1));
  story.MoveDeal(id, 1, bob);
  told = last();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].revenue_delta().amount(), "-5");
  EXPECT_EQ(told[0].deal_count_delta(), -1);
  EXPECT_EQ(FromTimestamp(told[0].won_time()), won) << "charts take it off where it was";
  EXPECT_EQ(told[0].stage_id(), story.stages[1]);
}

// ---- recount ----

// Whatever happens to deals: their rows, lines and stays are what the deals themselves say, and the increments add up
// to the revenue.
TEST(Projection, RandomLivesEndInWhatTheDealsSay) {
  auto random = SeededRandom();
  for (int life = 0; life < 20; ++life) {
    Story story;
    for (int i = 0; i < 120; ++i) story.Step(random);
    Recount recount;
    for (const auto& [producer, events] : story.told) {
      for (const auto& event : events) ASSERT_TRUE(recount.Apply(event).ok());
    }
    // The other side of the comparison: rows made from the deals as they are now.
    Projector projector;
    std::map<std::string, Decimal> increments;
    int won_count = 0;
    for (const auto& event : story.told["deal_pipeline"]) {
      if (event.type().substr(0, 5) != "deal.") continue;
      for (const Increment& increment : projector.Tell(event).increments) {
        won_count += increment.changed.deal_count_delta();
        if (!increment.changed.has_revenue_delta()) continue;
        increments[increment.changed.revenue_delta().currency_code()] +=
            *Decimal::Parse(increment.changed.revenue_delta().amount());
      }
    }
    for (const auto& [id, deal] : story.deals) {
      const Row& row = projector.deals.at(id);
      recount.AddLiving("deal_fact", row.Text());
      EXPECT_EQ(row.Get<int64_t>("visit"), static_cast<int64_t>(story.visits[id].size()));
      EXPECT_EQ(row.Has("won_time"), deal.has_won_time());
      EXPECT_EQ(row.Get<bool>("deleted"), deal.has_delete_time());
      int64_t number = 0;
      for (const Story::Visit& visit : story.visits[id]) {
        Row stay(kStageEntryFact, 0);
        stay.Set("deal_id", ParseId(id)->uuid)
            .Set("visit", ++number)
            .Set("stage_id", ParseId(visit.stage_id)->uuid)
            .Set("enter_time", visit.enter)
            .Set("leave_time", visit.leave ? Value(*visit.leave) : Value());
        recount.AddLiving("stage_entry_fact", stay.Text());
      }
      number = 0;
      for (const auto& line : deal.lines()) {
        Row sold(kDealLineFact, 0);
        sold.Set("deal_id", ParseId(id)->uuid)
            .Set("line", ++number)
            .Set("product_id", line.product_id().empty() ? Value() : Value(ParseId(line.product_id())->uuid))
            .Set("name", line.name())
            .Set("quantity", *Decimal::Parse(line.quantity()))
            .Set("total", *Decimal::Parse(line.total().amount()))
            .Set("currency_code", line.total().currency_code());
        recount.AddLiving("deal_line_fact", sold.Text());
      }
    }
    const Recount::Result result = recount.Compare();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(result.response.comparisons(i).difference_count(), 0)
          << result.response.comparisons(i).projection() << " "
          << (result.examples.empty() ? "" : result.examples.front());
    }
    const auto naive = story.Naive([](const dp::Deal&) { return ""; });
    for (const auto& [key, sum] : naive.sums) EXPECT_EQ(increments[key.second], sum) << key.second;
    int naive_count = 0;
    for (const auto& [key, count] : naive.counts) naive_count += count;
    EXPECT_EQ(won_count, naive_count);
  }
}

TEST(Recount, NamesWhatDiffers) {
  Story story;
  const std::string id = story.AddDeal("1.50", "EUR", "");
  Recount recount;
  for (const auto& [producer, events] : story.told) {
    for (const auto& event : events) ASSERT_TRUE(recount.Apply(event).ok());
  }
  Row other(kDealFact, 1);
  other.Set("id", ParseId(id)->uuid).Set("amount", *Decimal::Parse("1.51"));
  recount.AddLiving("deal_fact", other.Text());  // differs
  Row left_over(kProductFact, 1);
  left_over.Set("id", NewUuid(absl::Now())).Set("revision", int64_t{1}).Set("name", "gone");
  recount.AddLiving("product_fact", left_over.Text());  // is not in the events
  const Recount::Result result = recount.Compare();
  EXPECT_FALSE(result.response.equal());
  std::map<std::string, int> differences;
  for (const auto& comparison : result.response.comparisons()) {
    differences[comparison.projection()] = comparison.difference_count();
  }
  EXPECT_EQ(differences["deal_fact"], 1);
  EXPECT_EQ(differences["product_fact"], 1);
  EXPECT_EQ(differences["pipeline_fact"], 1);  // in the events, not living
  EXPECT_EQ(differences["contact_fact"], 0);
  EXPECT_FALSE(result.examples.empty());
}

TEST(Recount, RefusesAPayloadThatCannotBeRead) {
  Story story;
  events::v1::Event event = story.told["deal_pipeline"].front();
  event.mutable_payload()->set_value("\xff\xff broken");
  EXPECT_EQ(Recount().Apply(event).code(), absl::StatusCode::kDataLoss);
  event.mutable_payload()->set_type_url("type.googleapis.com/crm.deal_pipeline.v1.LeadCreated");
  EXPECT_TRUE(Recount().Apply(event).ok()) << "nobody hears it";
}

TEST(Fact, RowsRefuseColumnsAndTypesThatAreNone) {
  Row row(kProductFact, 1);
  EXPECT_THROW(row.Set("color", std::string("red")), std::logic_error);
  EXPECT_THROW(row.Set("name", int64_t{1}), std::logic_error);
  EXPECT_THROW(row.Set("id", std::string("product_1")), std::logic_error);
}

}  // namespace
}  // namespace crm::analytics
