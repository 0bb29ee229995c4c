// Plans on a skewed table, as the service's own role: one tenant has nearly all rows.
#include <gmock/gmock.h>

#include <pqxx/pqxx>

#include "tests/integration/table/things.h"

namespace crm::table_tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PlanTest : public TableTest {
 protected:
  static constexpr int kRows = 120'000;

  void SetUp() override {
    TableTest::SetUp();
    if (IsSkipped()) return;
    static const Uuid big = testing::NewTenant(), small = testing::NewTenant();
    big_ = big;
    small_ = small;
    static const bool filled = [this] {
      Fill(big_, kRows);
      Fill(small_, 30);
      testing::Servers::Get().Sql("VACUUM ANALYZE thing.thing");
      return true;
    }();
    (void)filled;
    tenant_ = big_;
  }

  // Names are distinct, one row in a thousand has a status, a tag, a part of its own; due dates are set in every
  // second.
  void Fill(const Uuid& tenant, int rows) {
    std::string sql =
        "INSERT INTO thing.thing SELECT '" + tenant.ToString() +
        "', gen_random_uuid(), 1, 'name ' || md5(i::text), 'c', '', i % 2 = 0, i % 1000, 0, 0, 0, '', i % 4, "
        "CASE WHEN i % 2 = 0 THEN date '2020-01-01' + i % 3000 END, NULL, NULL, NULL, NULL, NULL, '{}', "
        "CASE WHEN i % 1000 = 0 THEN ARRAY['rare'] ELSE '{}' END, '{}', '{}', NULL, "
        "jsonb_build_array(jsonb_build_object('name', 'part ' || i)), NULL, '{}', NULL, 'nick ' || i % 5000, "
        "NULL, NULL, NULL, CASE WHEN i % 1000 = 0 THEN 's' || i / 1000 ELSE '' END, "
        "CASE WHEN i % 1000 = 1 THEN '" +
        ParseId(user_)->uuid.ToString() +
        "'::uuid ELSE gen_random_uuid() END, NULL, now() - i * interval '1 minute', now(), NULL, '', NULL FROM "
        "generate_series(1, " +
        std::to_string(rows) + ") i";
    testing::Servers::Get().Sql(sql);
  }

  std::string PlanOf(const Call& call, const pg::ListArgs& args) {
    auto query = things_.PageQuery(call, args);
    EXPECT_TRUE(query.ok()) << query.status();
    if (!query.ok()) return "";
    pg::Batch batch(call);
    batch.AddDynamic(
        std::make_shared<pg::Statement>(pg::Statement{"thing.explain", "EXPLAIN (COSTS OFF) " + query->sql}),
        query->params);
    pg::Db::ReadOptions options;
    options.work = pg::Work::kList;
    options.force_custom_plan = true;
    auto rows = loop_.Run(db().Read(call, std::move(batch), options));
    EXPECT_TRUE(rows.ok()) << rows.status();
    std::string plan;
    for (int row = 0; rows.ok() && row < rows->at(0).size(); ++row) {
      plan += std::string(rows->at(0).Text(row, 0)) + "\n";
    }
    return plan;
  }
  std::string PlanOf(const pg::ListArgs& args) { return PlanOf(NewCall(), args); }

  Uuid big_, small_;
};

TEST_F(PlanTest, ListsFollowTheirIndexes) {
  const auto uses = [&](pg::ListArgs args, const char* index, bool sorts = false) {
    SCOPED_TRACE(args.filter + " / " + args.order_by);
    const std::string plan = PlanOf(args);
    EXPECT_THAT(plan, HasSubstr(index));
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan")));
    if (!sorts) EXPECT_THAT(plan, Not(HasSubstr("Sort")));
  };
  uses({}, "thing_create_time");
  uses({.order_by = "create_time"}, "thing_create_time");
  uses({.order_by = "due_date"}, "thing_due_date");
  uses({.order_by = "due_date desc"}, "thing_due_date", true);
  uses({.filter = "due_date > 2024-01-01", .order_by = "due_date desc"}, "thing_due_date");
  uses({.order_by = "nickname"}, "thing_nickname");
  uses({.filter = "owner_id = " + user_}, "thing_owner");
  uses({.filter = "status = s7"}, "thing_status", true);
  uses({.filter = "tags:rare"}, "thing_tags", true);
  uses({.filter = "parts.name = 'part 4711'"}, "thing_parts", true);
  uses({.filter = "name:\"" + std::string("4711") + "d\""}, "thing_name", true);
  uses({.filter = "nickname = 'nick 77' AND active = true"}, "thing_nickname", true);
  uses({.filter = "create_time > days(-1) AND count = 5"}, "thing_create_time");
}

TEST_F(PlanTest, WhatManyMatchIsMetInTheOrdersIndex) {
  // More matches than are sorted: pages join all the same, in order.
  for (const char* filter : {"name:\"name\"", "name:\"e 00\" AND count < 990"}) {
    SCOPED_TRACE(filter);
    const int expected = std::stoi(testing::Servers::Get().Value(
        "SELECT count(*) FROM thing.thing WHERE tenant_id = '" + big_.ToString() + "' AND name LIKE '%" +
        (std::string(filter).find("00") == std::string::npos ? "name%'" : "e 00%' AND count < 990")));
    int seen = 0;
    absl::Time last = absl::InfiniteFuture();
    pg::ListArgs args{.filter = filter, .page_size = 400};
    for (int page = 0; page < 3; ++page) {
      auto got = List(NewCall(), args);
      ASSERT_TRUE(got.ok()) << got.status();
      for (const auto& thing : got->items) {
        ++seen;
        EXPECT_LE(FromTimestamp(thing.create_time()), last);
        last = FromTimestamp(thing.create_time());
      }
      args.page_token = got->next_page_token;
      if (args.page_token.empty()) break;
    }
    EXPECT_EQ(seen, std::min(expected, 1200));
  }
}

TEST_F(PlanTest, LaterPagesGoOnInTheIndex) {
  // The last page of a long list, by an order that has values left out: from the set ones into the unset.
  for (const char* order : {"", "due_date desc", "nickname"}) {
    SCOPED_TRACE(order);
    const Call call = NewCall();
    auto page = List(call, {.order_by = order, .page_size = 2});
    ASSERT_TRUE(page.ok()) << page.status();
    const std::string plan = PlanOf(call, {.order_by = order, .page_size = 2, .page_token = page->next_page_token});
    EXPECT_THAT(plan, HasSubstr("Index Cond: ((tenant_id = "));
    EXPECT_THAT(plan, ::testing::ContainsRegex("(ROW\\(|due_date <|nickname >)"));
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan")));
  }
}

TEST_F(PlanTest, OwnRecordsAreFoundByTheirOwner) {
  const Call call = CallWith(type::v1::SCOPE_OWN, type::v1::SCOPE_UNSPECIFIED);
  EXPECT_THAT(PlanOf(call, {}), HasSubstr("thing_owner"));
}

// A named statement keeps one plan for all tenants: it must not be the one that suits the smallest.
TEST_F(PlanTest, APlanMadeForASmallTenantServesALargeOne) {
  for (const char* order : {"", "due_date desc", "nickname"}) {
    SCOPED_TRACE(order);
    auto statement = things_.SelectPage({.order_by = order});
    ASSERT_TRUE(statement.ok());
    pqxx::connection connection(testing::Servers::Get().Db("thing").conninfo + " options='-c search_path=thing'");
    pqxx::nontransaction session(connection);
    const auto act_as = [&](const Uuid& tenant) { session.exec("SET app.tenant = '" + tenant.ToString() + "'"); };
    act_as(small_);
    session.exec("PREPARE page AS " + statement->sql);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(session.exec("EXECUTE page").size(), 30u);
    act_as(big_);
    std::string plan;
    for (const auto& row : session.exec("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE page"))
      plan += std::string(row[0].c_str()) + "\n";
    // Of the big tenant no more is read than a page, and one more where the order has a part without values.
    EXPECT_THAT(plan, HasSubstr("Index Scan"));
    EXPECT_THAT(plan, Not(::testing::ContainsRegex("rows=(1[1-9][0-9]|[2-9][0-9][0-9]|[0-9]{4,}) loops")));
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan")));
  }
}

TEST_F(PlanTest, TheServiceCannotReadAroundTheTenant) {
  pqxx::connection connection(testing::Servers::Get().Db("thing").conninfo + " options='-c search_path=thing'");
  EXPECT_THROW(
      {
        pqxx::nontransaction session(connection);
        session.exec("SELECT count(*) FROM thing_view");
      },
      pqxx::sql_error);
  pqxx::nontransaction session(connection);
  session.exec("SET app.tenant = '" + testing::NewTenant().ToString() + "'");
  for (const char* from : {"thing", "thing_view", "thing_history", "thing_history_view"}) {
    EXPECT_EQ(session.exec(std::string("SELECT count(*) FROM ") + from)[0][0].as<int>(), 0) << from;
  }
}

}  // namespace
}  // namespace crm::table_tests
