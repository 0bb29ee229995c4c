#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/pg/filter_sql.h"
#include "common/pg/table_impl.h"
#include "crm/testing/v1/thing.pb.h"

namespace crm::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Uuid Some(uint8_t number) {
  Uuid uuid = DerivedUuid({}, "table_filter_test");
  uuid.bytes[15] = number;
  return uuid;
}

class TableFilter : public ::testing::Test {
 protected:
  TableFilter() : things_("test") {
    call_.principal.kind = Principal::Kind::kUser;
    call_.principal.user_id = TypeId("user", Some(1));
    call_.principal.teams = {Some(2), Some(3)};
    auto rights = std::make_shared<Rights>();
    rights->personal_data = true;
    call_.principal.rights = rights;
    call_.time_zone = "Europe/Berlin";
    call_.start = absl::FromUnixSeconds(1'800'000'000);  // 2027-01-15T09:00:00+01:00 in Berlin
  }

  absl::StatusOr<std::string> Compile(const std::string& filter) {
    sql_ = record::SqlBuilder();
    CRM_TRY(const auto node, filter::Parse(filter));
    CRM_TRY(const Condition condition, CompileFilter(call_, things_, node, sql_));
    guessed_ = condition.guessed;
    return condition.sql;
  }
  std::string Sql(const std::string& filter) {
    auto sql = Compile(filter);
    EXPECT_TRUE(sql.ok()) << filter << ": " << sql.status();
    return sql.value_or("");
  }
  std::string Refused(const std::string& filter) {
    auto sql = Compile(filter);
    EXPECT_FALSE(sql.ok()) << filter << " -> " << sql.value_or("");
    if (!sql.ok()) {
      EXPECT_EQ(ReasonOf(sql.status()), type::v1::ERROR_REASON_FILTER_INVALID) << sql.status();
    }
    return std::string(sql.status().message());
  }
  std::vector<std::string> Values() {
    std::vector<std::string> values;
    for (const auto& value : sql_.params().values()) values.push_back(value.data);
    return values;
  }

  Call call_;
  Table<crm::testing::v1::Thing> things_;
  record::SqlBuilder sql_;
  bool guessed_ = false;
};

TEST_F(TableFilter, TextIsExactUnlessItHasWildcardsOrIsAskedFor) {
  EXPECT_EQ(Sql("name = 'a%b'"), "t.name = $1::text");
  EXPECT_THAT(Values(), ElementsAre("a%b"));
  EXPECT_EQ(Sql("name = '50%_*'"), "t.name ILIKE $1");
  EXPECT_THAT(Values(), ElementsAre("50\\%\\_%"));
  EXPECT_EQ(Sql("name:\"a\\\\b\""), "t.name ILIKE $1");
  EXPECT_THAT(Values(), ElementsAre("%a\\\\b%"));
  EXPECT_EQ(Sql("name > 'm'"), "(t.name > $1::text AND t.name <> '')");
  EXPECT_EQ(Sql("name:*"), "t.name <> ''");
}

TEST_F(TableFilter, NegationIsTwoValued) {
  EXPECT_EQ(Sql("rank != 5"), "(t.rank = $1::integer) IS NOT TRUE");
  EXPECT_EQ(Sql("NOT (rank = 5 AND active = true)"), "((t.rank = $1::integer) IS NOT TRUE OR (t.active) IS NOT TRUE)");
  EXPECT_EQ(Sql("parent_id = null"), "(t.parent_id IS NOT NULL) IS NOT TRUE");
  EXPECT_EQ(Sql("parent_id != null"), "t.parent_id IS NOT NULL");
}

TEST_F(TableFilter, OrBindsTighterThanAnd) {
  EXPECT_EQ(Sql("active = true count = 1 OR count = 2"),
            "(t.active AND (t.count = $1::integer OR t.count = $2::integer))");
}

TEST_F(TableFilter, ValuesAreTyped) {
  EXPECT_EQ(Sql("count >= -5"), "t.count >= $1::integer");
  EXPECT_EQ(Sql("big < 9007199254740993"), "t.big < $1::bigint");
  EXPECT_EQ(Sql("ratio > 1.5"), "t.ratio > $1::double precision");
  EXPECT_EQ(Sql("price <= 12.50"), "t.price <= $1::numeric");
  EXPECT_EQ(Sql("cost > 100"), "t.cost_amount > $1::numeric");
  EXPECT_EQ(Sql("cost.amount = 100"), "t.cost_amount = $1::numeric");
  EXPECT_EQ(Sql("cost.currency_code = EUR"), "t.cost_currency_code = $1::text");
  EXPECT_EQ(Sql("active = false"), "NOT t.active");
  EXPECT_EQ(Sql("kind = KIND_LARGE"), "t.kind = $1::smallint");
  EXPECT_THAT(Values(), ElementsAre("2"));
  EXPECT_EQ(Sql("due_date < 2026-11-23"), "t.due_date < $1::date");
  EXPECT_EQ(Sql("due_date = days(-1)"), "t.due_date = $1::date");
  EXPECT_THAT(Values(), ElementsAre("2027-01-14"));
}

TEST_F(TableFilter, ADayAgainstAMomentIsTheWholeLocalDay) {
  EXPECT_EQ(Sql("create_time = 2026-11-23"), "(t.create_time >= $1::timestamptz AND t.create_time < $2::timestamptz)");
  EXPECT_THAT(Values(), ElementsAre(HasSubstr("2026-11-22 23:00:00"), HasSubstr("2026-11-23 23:00:00")));
  EXPECT_EQ(Sql("create_time > today()"), "t.create_time >= $1::timestamptz");
  EXPECT_THAT(Values(), ElementsAre(HasSubstr("2027-01-15 23:00:00")));
  EXPECT_EQ(Sql("create_time <= '2026-11-23T10:00:00Z'"), "t.create_time <= $1::timestamptz");
}

TEST_F(TableFilter, ReferencesTakeIdsAndTheCaller) {
  EXPECT_EQ(Sql("owner_id = me"), "t.owner_id = $1::uuid");
  EXPECT_EQ(Sql("team_id = my_team()"), "t.team_id = ANY($1::uuid[])");
  EXPECT_EQ(Sql("creator_id = me"), "t.creator_id = ANY($1::text[])");
  EXPECT_EQ(Sql("watcher_ids:me"), "(t.watcher_ids && $1::uuid[] AND t.watcher_ids <> '{}')");
  EXPECT_EQ(Sql("link_id = " + TypeId("deal", Some(7))), "t.link_id = ANY($1::text[])");
  EXPECT_THAT(Refused("owner_id = " + TypeId("team", Some(7))), HasSubstr("user"));
  call_.principal.kind = Principal::Kind::kApiKey;
  call_.principal.user_id = TypeId("key", Some(1));
  EXPECT_EQ(Sql("owner_id = me"), "false");
  EXPECT_EQ(Sql("owner_id != me"), "(false) IS NOT TRUE");
}

TEST_F(TableFilter, ListsAreAskedForTheirElements) {
  EXPECT_EQ(Sql("tags:vip"), "(t.tags @> $1::text[] AND t.tags <> '{}')");
  EXPECT_EQ(Sql("kinds:KIND_ODD"), "(t.kinds @> $1::smallint[] AND t.kinds <> '{}')");
  EXPECT_EQ(Sql("numbers:5"), "(t.numbers @> $1::integer[] AND t.numbers <> '{}')");
  EXPECT_EQ(Sql("tags:*"), "t.tags <> '{}'");
  EXPECT_THAT(Refused("tags = vip"), HasSubstr("`:`"));
}

TEST_F(TableFilter, MessagesAreAskedForTheirParts) {
  EXPECT_EQ(Sql("place.city = Berlin"), "t.place @> $1::jsonb");
  EXPECT_THAT(Values(), ElementsAre(R"({"city":"Berlin"})"));
  EXPECT_EQ(Sql("parts.name = 'a\"b'"), "t.parts @> $1::jsonb");
  EXPECT_THAT(Values(), ElementsAre(R"([{"name":"a\"b"}])"));
  EXPECT_EQ(Sql("parts.count > 007"), "jsonb_path_exists(t.parts, 'lax $.\"count\" ? (@ > $v)', $1::jsonb, true)");
  EXPECT_THAT(Values(), ElementsAre(R"({"v":7})"));
  EXPECT_EQ(Sql("parts.colors:red"), "t.parts @> $1::jsonb");
  EXPECT_THAT(Values(), ElementsAre(R"([{"colors":["red"]}])"));
  EXPECT_EQ(Sql("labels:size"), "t.labels ? $1::text");
  EXPECT_EQ(Sql("labels.size = L"), "t.labels @> $1::jsonb");
  EXPECT_EQ(Sql("parts:*"), "t.parts <> '[]'::jsonb");
  EXPECT_THAT(Refused("parts:wheel"), HasSubstr("parts.name"));
  EXPECT_THAT(Refused("place = Berlin"), HasSubstr("place.city"));
  EXPECT_THAT(Refused("place.town = Berlin"), HasSubstr("city"));
  EXPECT_THAT(Refused("place.city > 'B'"), HasSubstr("order"));
}

TEST_F(TableFilter, WhatATypeCannotHoldIsRefused) {
  Refused("count = 1.5");
  Refused("count = 3000000000");
  Refused("count = many");
  Refused("ratio = '1e400'");
  Refused("price = 1,5");
  Refused("active = maybe");
  EXPECT_THAT(Refused("kind = KIND_HUGE"), HasSubstr("KIND_LARGE"));
  Refused("kind > KIND_SMALL");
  Refused("due_date = 2026-02-30");
  Refused("create_time > yesterday");
  Refused("owner_id = someone");
  Refused("owner_id < me");
  Refused("blob = x");
  Refused("etag = 5");
  Refused("access.can:update");
  Refused("open_tasks > 1");
  Refused("name.first = x");
  Refused("cost.total = 1");
  EXPECT_THAT(Refused("nmae = x"), HasSubstr("\"name\""));
  EXPECT_THAT(Refused("owner = me"), HasSubstr("\"owner_id\""));
}

TEST_F(TableFilter, PersonalFieldsAreOnlyForThoseWhoMaySeeThem) {
  EXPECT_EQ(Sql("secret = x"), "t.secret = $1::text");
  call_.principal.rights = std::make_shared<Rights>();
  for (const char* filter : {"secret = x", "parts.serial:1", "NOT secret:*"}) {
    auto sql = Compile(filter);
    EXPECT_EQ(sql.status().code(), absl::StatusCode::kPermissionDenied) << filter;
    EXPECT_EQ(ReasonOf(sql.status()), type::v1::ERROR_REASON_RIGHT_MISSING);
  }
  EXPECT_TRUE(Compile("parts.name = x").ok());
  EXPECT_FALSE(CompileOrder(call_, things_, "secret", "").ok());
  EXPECT_TRUE(CompileOrder(call_, things_, "", "secret").ok());
}

TEST_F(TableFilter, AServiceAddsFieldsOfItsOwn) {
  things_.AddFilterField({"phone", [](const Call&, const filter::Compare& compare) -> absl::StatusOr<Fragment> {
                            CRM_TRY(std::string key, filter::TextOf(compare));
                            return Fragment{
                                "EXISTS (SELECT 1 FROM record_key_view k WHERE k.kind = '$1' AND k.key = $1 "
                                "AND k.note <> $2)",
                                Params().Text(key).Text("n")};
                          }});
  things_.AddFilterField(
      {"custom_fields.*", [](const Call&, const filter::Compare& compare) -> absl::StatusOr<Fragment> {
         return Fragment{"custom($1)", Params().Text(compare.path.back())};
       }});
  EXPECT_EQ(Sql("count = 1 AND NOT phone = '+49'"),
            "(t.count = $1::integer AND ((EXISTS (SELECT 1 FROM record_key_view k WHERE k.kind = '$1' AND k.key = $2 "
            "AND k.note <> $3))) IS NOT TRUE)");
  EXPECT_EQ(Sql("custom_fields.size = 5"), "(custom($1))");
  EXPECT_THAT(Values(), ElementsAre("size"));
  EXPECT_THAT(Refused("phon = 5"), HasSubstr("\"phone\""));
}

TEST_F(TableFilter, PartsWhoseRowsThePlannerGuessesAreMarked) {
  for (const char* filter : {"parts.name = x", "name:abc", "name = 'abc*' count = 1", "labels:size"}) {
    Sql(filter);
    EXPECT_TRUE(guessed_) << filter;
  }
  for (const char* filter :
       {"name = abc", "name:ab", "NOT name:abc", "name:abc OR count = 1", "tags:abc", "parts:*", ""}) {
    Sql(filter);
    EXPECT_FALSE(guessed_) << filter;
  }
}

TEST_F(TableFilter, OrdersEndInTheId) {
  const auto order = [&](const std::string& by) {
    auto compiled = CompileOrder(call_, things_, by, "");
    std::vector<std::string> out;
    if (!compiled.ok()) return std::vector<std::string>{std::string(compiled.status().message())};
    for (const auto& term : *compiled) out.push_back(term.column->name + (term.descending ? " desc" : ""));
    return out;
  };
  EXPECT_THAT(order(""), ElementsAre("create_time desc", "id desc"));
  EXPECT_THAT(order("name"), ElementsAre("name", "id"));
  EXPECT_THAT(order("cost desc, due_date"), ElementsAre("cost_amount desc", "due_date", "id"));
  EXPECT_THAT(order("cost.currency_code desc"), ElementsAre("cost_currency_code desc", "id desc"));
  EXPECT_THAT(order("id desc, name"), ElementsAre("id desc"));
  EXPECT_THAT(order("tags"), ElementsAre(HasSubstr("tags")));
  EXPECT_THAT(order("nmae"), ElementsAre(HasSubstr("\"name\"")));
  EXPECT_THAT(order("name,code,status,count,size"), ElementsAre(HasSubstr("at most 4")));
}

}  // namespace
}  // namespace crm::pg
