#include "common/base/filter.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "common/base/error.h"
#include "common/base/time.h"
#include "crm/type/v1/list.pb.h"
#include "tests/unit/common/base/seed.h"

namespace crm::filter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// How a filter was understood, fully parenthesised by ToText.
std::string Understood(absl::string_view text) {
  auto node = Parse(text);
  return node.ok() ? ToText(*node) : absl::StrCat("error: ", node.status().message());
}

Compare One(absl::string_view text) {
  auto node = Parse(text);
  EXPECT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->kind, Node::Kind::kCompare) << text;
  return node->compare;
}

type::v1::FilterTree Tree(const std::string& json) {
  type::v1::FilterTree tree;
  auto status = google::protobuf::util::JsonStringToMessage(json, &tree);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return tree;
}

TEST(FilterParseTest, Precedence) {
  for (const auto& [text, understood] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", ""},
           {" \t\n", ""},
           {"a=1", R"(a = "1")"},
           {"a=1 b=2", R"(a = "1" AND b = "2")"},
           {"a=1 AND b=2 OR c=3", R"(a = "1" AND (b = "2" OR c = "3"))"},
           {"a=1 OR b=2 AND c=3", R"((a = "1" OR b = "2") AND c = "3")"},
           {"a=1 b=2 AND c=3 d=4", R"(a = "1" AND b = "2" AND c = "3" AND d = "4")"},
           {"a=1 OR b=2 c=3", R"((a = "1" OR b = "2") AND c = "3")"},
           {"(a=1 b=2) OR c=3", R"((a = "1" AND b = "2") OR c = "3")"},
           {"NOT a=1 OR b=2", R"(NOT a = "1" OR b = "2")"},
           {"NOT (a=1 OR b=2)", R"(NOT (a = "1" OR b = "2"))"},
           {"-a=1 -b=2", R"(NOT a = "1" AND NOT b = "2")"},
           {"-(a=1)(b=2)", R"(NOT a = "1" AND b = "2")"},
           {"NOT NOT a=1", R"(NOT NOT a = "1")"},
           {"((a=1))", R"(a = "1")"},
           {"(a=1 AND (b=2 AND c=3))", R"(a = "1" AND b = "2" AND c = "3")"},
           {"ANDy = 1 NOTe=2 ORder=3", R"(ANDy = "1" AND NOTe = "2" AND ORder = "3")"},
       }) {
    EXPECT_EQ(Understood(text), understood) << text;
  }
}

TEST(FilterParseTest, OperatorsAndValues) {
  for (const auto& [text, understood] : std::initializer_list<std::pair<const char*, const char*>>{
           {"a != 1", R"(a != "1")"},
           {"a<-1.5", R"(a < "-1.5")"},
           {"a<=1 a>2 a>=3", R"(a <= "1" AND a > "2" AND a >= "3")"},
           {"tags:vip", R"(tags : "vip")"},
           {"tags:*", "tags : *"},
           {"a = null", "a = null"},
           {"a != null", "a != null"},
           {R"(a = "null")", R"(a = "null")"},
           {"custom_fields.size.x2 = L", R"(custom_fields.size.x2 = "L")"},
           {"owner_id = me", "owner_id = me"},
           {"owner_id = me()", "owner_id = me"},
           {R"(name = "me")", R"(name = "me")"},
           {"team_id = my_team( )", "team_id = my_team()"},
           {"d >= today()", "d >= days(0)"},
           {"d > days(-7) d < days(30)", "d > days(-7) AND d < days(30)"},
           {"create_time > 2026-11-23T10:15:00.5+01:00", R"(create_time > "2026-11-23T10:15:00.5+01:00")"},
           {"stage = (A OR \"B C\" OR null)", R"(stage = "A" OR stage = "B C" OR stage = null)"},
           {"x=1 stage = (A OR B)", R"(x = "1" AND (stage = "A" OR stage = "B"))"},
           {"tags:(a OR b)", R"(tags : "a" OR tags : "b")"},
           {"name = Ann*", R"(name = "Ann*")"},
           {R"(name = "*an n*")", R"(name = "*an n*")"},
           {R"(name = "*")", R"(name = "*")"},
           {R"(name = "a\*b\"\\\'")", R"(name = "a\*b\"\\'")"},
           {R"(name = 'it"s' )", R"(name = "it\"s")"},
           {R"(name = "")", R"(name = "")"},
           {"city=Zürich", "city = \"Zürich\""},
           {"имя=1", "error: filter, position 0: expected a field's name, but found \"имя\""},
       }) {
    EXPECT_EQ(Understood(text), understood) << text;
  }
  const Compare star = One("name = *ann*");
  EXPECT_EQ(star.value.text, "ann");
  EXPECT_TRUE(star.value.any_before && star.value.any_after);
  EXPECT_FALSE(One(R"(name = "\*ann")").value.any_before);
  EXPECT_EQ(One(R"(name = "\*ann\n\t")").value.text, "*ann\n\t");
  EXPECT_EQ(One("  owner.name=x").at, "13");
}

TEST(FilterParseTest, ErrorsSayWhereAndWhatWasExpected) {
  for (const auto& [text, position, message] : std::initializer_list<std::tuple<const char*, const char*, const char*>>{
           {"a", "1", "expected one of = != < <= > >= : after a, but the text ends here"},
           {"a b", "2", "expected one of = != < <= > >= : after a, but found \"b\""},
           {"a =", "3", "expected a value, but the text ends here"},
           {"a = AND b = 1", "4", "expected a value, but found \"AND\""},
           {"a = 1 AND", "9", "expected a field's name, but the text ends here"},
           {"(a = 1 AND )", "11", "expected a field's name, but found \")\""},
           {"a = 1 OR", "8", "expected a field's name"},
           {"AND a = 1", "0", "expected a field's name, but found \"AND\""},
           {"(a = 1", "6", "expected \")\", but the text ends here"},
           {"a = 1)", "5", "expected AND, OR, another condition or the end, but found \")\""},
           {"()", "1", "expected a field's name"},
           {"a == 1", "2", "write = instead of =="},
           {"a. = 1", "2", "a field's name after the point"},
           {".a = 1", "0", "expected a field's name"},
           {"a..b = 1", "2", "after the point"},
           {"a = \"x", "4", "not closed"},
           {"a = \"x\\", "4", "not closed"},
           {"a = \"\\q\"", "5", "can be followed by"},
           {"a = x\\*", "5", "put the value in quotes"},
           {"a = x*y", "4", "* can stand only at the start or the end"},
           {"a > x*", "4", "* cannot stand with >"},
           {"a > null", "4", "null stands only with = and !="},
           {"a : null", "4", "null stands only with = and !="},
           {"a < me", "4", "have no order"},
           {"a = now()", "4", "there is no function now()"},
           {"f(1) = 2", "0", "only on the right"},
           {"a = days()", "9", "whole number"},
           {"a = days(1.5)", "9", "whole number"},
           {"a = days(99999999999)", "9", "whole number"},
           {"a = today(1)", "10", "takes no argument"},
           {"a = days(1", "10", "expected \")\""},
           {"a != (b OR c)", "5", "only after = and :"},
           {"a = (b AND c)", "7", "expected OR or \")\""},
           {"a = ()", "5", "expected a value"},
           {"a = 1, b = 2", "5", "but found \",\""},
           {"1a = 2", "0", "expected a field's name"},
           {"a ~ 2", "2", "expected one of"},
           {"a = 'x' 'y'", "8", "expected a field's name"},
           {"select * from x", "7", "expected one of"},
           {"-", "1", "expected a field's name"},
           {"NOT", "3", "expected a field's name"},
       }) {
    SCOPED_TRACE(text);
    auto node = Parse(text);
    ASSERT_FALSE(node.ok());
    EXPECT_EQ(node.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(node.status()), type::v1::ERROR_REASON_FILTER_INVALID);
    EXPECT_EQ(MetadataOf(node.status())["position"], position);
    EXPECT_THAT(std::string(node.status().message()), HasSubstr(message));
    EXPECT_EQ(ViolationsOf(node.status()).at(0).field, "filter");
  }
}

TEST(FilterParseTest, LimitsHold) {
  EXPECT_THAT(Understood(std::string(kLengthMax + 1, 'a')), HasSubstr("bytes long"));
  EXPECT_TRUE(Parse("a = " + std::string(kLengthMax - 4, 'x')).ok());
  const auto nested = [](int depth) { return std::string(depth, '(') + "a=1" + std::string(depth, ')'); };
  EXPECT_TRUE(Parse(nested(kDepthMax)).ok());
  EXPECT_THAT(Understood(nested(kDepthMax + 1)), HasSubstr("more than 20 parentheses"));
  EXPECT_THAT(Understood(std::string(5'000, '(')), HasSubstr("more than 20 parentheses"));
  EXPECT_THAT(Understood(std::string(5'000, '-')), HasSubstr("more than 20 parentheses"));
  std::string many = "a=1";
  for (int i = 1; i < kNodesMax; ++i) many += " a=1";
  EXPECT_TRUE(Parse(many).ok());
  EXPECT_THAT(Understood(many + " a=1"), HasSubstr("more than 200 conditions"));
  std::string list = "a=(1";
  for (int i = 1; i < kNodesMax; ++i) list += " OR 1";
  EXPECT_THAT(Understood(list + ")"), HasSubstr("more than 200 conditions"));
}

TEST(FilterParseTest, BadBytesAreRefused) {
  EXPECT_THAT(Understood(absl::string_view("a = \"x\0y\"", 9)), HasSubstr("control character"));
  EXPECT_THAT(Understood("a = \x01"), HasSubstr("control character"));
  EXPECT_THAT(Understood("a = \"\xff\""), HasSubstr("not UTF-8"));
  EXPECT_THAT(Understood("a = \"\xed\xa0\x80\""), HasSubstr("not UTF-8"));  // a surrogate
}

// Whatever the bytes: an answer or an error, and what was understood reads the same again.
TEST(FilterPropertyTest, AnyTextIsAnsweredAndWhatIsUnderstoodReadsTheSameAgain) {
  auto random = SeededRandom();
  const std::vector<std::string> tokens = {"a",       "b.c",   "=",    "!=",       "<",         ">=",   ":", "(",  ")",
                                           " ",       " AND ", " OR ", "NOT ",     "-",         "\"",   "'", "\\", "*",
                                           "1.5",     "me",    "x",    "days(-7)", "my_team()", "null", ",", "\n", "é",
                                           "\"a b\"", "'*x'",  "=1 ",  ":* ",      "=(1 OR 2) "};
  int understood = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (size_t n = random() % 14; n > 0; --n) text += tokens[random() % tokens.size()];
    auto node = Parse(text);
    if (!node.ok()) {
      ASSERT_EQ(ReasonOf(node.status()), type::v1::ERROR_REASON_FILTER_INVALID) << text;
      continue;
    }
    ++understood;
    auto again = Parse(ToText(*node));
    ASSERT_TRUE(again.ok()) << text << " -> " << ToText(*node) << ": " << again.status();
    ASSERT_EQ(*again, *node) << text << " -> " << ToText(*node);
  }
  EXPECT_GT(understood, 200);  // the property is not empty
}

// Trees made at random survive the way to text and back.
TEST(FilterPropertyTest, TreesSurviveText) {
  auto random = SeededRandom();
  const std::function<type::v1::FilterTree(int)> any = [&](int depth) {
    type::v1::FilterTree tree;
    switch (depth == 0 ? 3 : random() % 4) {
      case 0:
        for (size_t n = 1 + random() % 3; n > 0; --n) *tree.mutable_and_()->add_items() = any(depth - 1);
        break;
      case 1:
        for (size_t n = 1 + random() % 3; n > 0; --n) *tree.mutable_or_()->add_items() = any(depth - 1);
        break;
      case 2:
        *tree.mutable_not_() = any(depth - 1);
        break;
      default: {
        auto* compare = tree.mutable_compare();
        compare->set_field(random() % 2 ? "name" : "custom_fields.size");
        compare->set_operator_(static_cast<type::v1::FilterTreeCompare::Operator>(1 + random() % 9));
        const std::string letters = "ab*\"'\\ ()=\n";
        std::string value = "v";
        for (size_t n = random() % 6; n > 0; --n) value += letters[random() % letters.size()];
        compare->set_value(value);
      }
    }
    return tree;
  };
  for (int i = 0; i < 2'000; ++i) {
    const auto tree = any(3);
    auto node = FromTree(tree);
    ASSERT_TRUE(node.ok()) << node.status() << tree.DebugString();
    auto again = Parse(ToText(*node));
    ASSERT_TRUE(again.ok()) << ToText(*node) << again.status();
    ASSERT_EQ(*again, *node) << ToText(*node);
  }
}

TEST(FilterTreeTest, SaysWhatTheTextSays) {
  for (const auto& [json, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {"{}", ""},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","value":"x*"}})", R"(a = "x\*")"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_STARTS_WITH","value":"x*"}})", R"(a = "x\**")"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_ENDS_WITH","value":"x"}})", R"(a = "*x")"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_PRESENT"}})", "a:*"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_ABSENT"}})", "NOT a:*"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_IN","values":["1","2"]}})", "a=1 OR a=2"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_IN","values":["1"]}})", "a=1"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","function":"me"}})", "a=me"},
           {R"j({"compare":{"field":"a","operator":"OPERATOR_LESS","function":"days(-7)"}})j", "a<days(-7)"},
           {R"({"and":{"items":[{"compare":{"field":"a","operator":"OPERATOR_HAS","value":"1"}},
               {"or":{"items":[{"not":{"compare":{"field":"b","operator":"OPERATOR_NOT_EQUAL","value":"2"}}},
                               {"compare":{"field":"c.d","operator":"OPERATOR_GREATER_EQUAL","value":"3"}}]}}]}})",
            "a:1 (NOT b!=2 OR c.d>=3)"},
       }) {
    auto node = FromTree(Tree(json));
    ASSERT_TRUE(node.ok()) << json << node.status();
    auto same = Parse(text);
    ASSERT_TRUE(same.ok()) << text << same.status();
    EXPECT_EQ(ToText(*node), ToText(*same)) << json;
    EXPECT_EQ(*node, *same) << json;
  }
}

TEST(FilterTreeTest, ErrorsNameThePlace) {
  for (const auto& [json, place, message] : std::initializer_list<std::tuple<const char*, const char*, const char*>>{
           {R"({"and":{}})", "and", "items is empty"},
           {R"({"or":{"items":[{"compare":{"field":"a","operator":"OPERATOR_EQUAL"}},{}]}})", "or.items[1].",
            "is empty"},
           {R"({"not":{"compare":{"field":"a b","operator":"OPERATOR_EQUAL"}}})", "not.compare.field", "path"},
           {R"({"compare":{"field":"","operator":"OPERATOR_EQUAL"}})", "compare.field", "path"},
           {R"({"compare":{"field":"a.","operator":"OPERATOR_EQUAL"}})", "compare.field", "path"},
           {R"({"compare":{"field":"a"}})", "compare.operator", "is not set"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_IN"}})", "compare.values", "at least one"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_IN","value":"x","values":["x"]}})", "compare",
            "takes no value"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","values":["x"]}})", "compare.values",
            "only OPERATOR_IN"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_PRESENT","value":"x"}})", "compare", "takes no value"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","value":"x","function":"me"}})", "compare", "both"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","function":"x"}})", "compare.function",
            "expected me"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","function":"me OR"}})", "compare.function",
            "expected me"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_LESS","function":"me"}})", "compare", "no order"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_EQUAL","value":"\u0000"}})", "compare.value", "control"},
           {R"({"compare":{"field":"a","operator":"OPERATOR_STARTS_WITH"}})", "compare.value", "is empty"},
       }) {
    SCOPED_TRACE(json);
    auto node = FromTree(Tree(json));
    ASSERT_FALSE(node.ok());
    EXPECT_EQ(ReasonOf(node.status()), type::v1::ERROR_REASON_FILTER_INVALID);
    EXPECT_EQ(MetadataOf(node.status())["position"], place);
    EXPECT_EQ(MetadataOf(node.status())["field"], "filter_tree");
    EXPECT_THAT(std::string(node.status().message()), HasSubstr(message));
  }
  type::v1::FilterTree deep;
  auto* at = &deep;
  for (int i = 0; i <= kDepthMax; ++i) at = at->mutable_not_();
  at->mutable_compare()->set_field("a");
  EXPECT_THAT(std::string(FromTree(deep).status().message()), HasSubstr("levels deep"));
  type::v1::FilterTree wide;
  for (int i = 0; i < kNodesMax; ++i) {
    auto* compare = wide.mutable_or_()->add_items()->mutable_compare();
    compare->set_field("a");
    compare->set_operator_(type::v1::FilterTreeCompare::OPERATOR_EQUAL);
  }
  EXPECT_THAT(std::string(FromTree(wide).status().message()), HasSubstr("more than 200 nodes"));
}

TEST(FilterAndTest, JoinsAndDropsTheEmpty) {
  EXPECT_EQ(ToText(And(*Parse("a=1 OR b=2"), *Parse("c=3"))), R"((a = "1" OR b = "2") AND c = "3")");
  EXPECT_EQ(ToText(And(*Parse("a=1 b=2"), *Parse("c=3"))), R"(a = "1" AND b = "2" AND c = "3")");
  EXPECT_EQ(And(Node(), *Parse("a=1")), *Parse("a=1"));
  EXPECT_EQ(And(*Parse("a=1 OR b=2"), Node()), *Parse("a=1 OR b=2"));
  EXPECT_EQ(And(Node(), Node()), Node());
}

TEST(OrderByTest, ReadsTerms) {
  auto terms = ParseOrderBy(" amount desc ,create_time, custom_fields.size asc");
  ASSERT_TRUE(terms.ok()) << terms.status();
  EXPECT_THAT(*terms, ElementsAre(OrderTerm{{"amount"}, true}, OrderTerm{{"create_time"}, false},
                                  OrderTerm{{"custom_fields", "size"}, false}));
  EXPECT_EQ((*terms)[2].position, 27);
  EXPECT_THAT(*ParseOrderBy(""), IsEmpty());
  EXPECT_THAT(*ParseOrderBy("  "), IsEmpty());
}

TEST(OrderByTest, ErrorsSayWhere) {
  for (const auto& [text, position, message] : std::initializer_list<std::tuple<const char*, const char*, const char*>>{
           {"a,", "2", "expected a field's name, but the text ends here"},
           {",a", "0", "expected a field's name"},
           {"a b", "2", "expected \"desc\", \",\" or the end, but found \"b\""},
           {"a descending", "2", "expected \"desc\""},
           {"a desc desc", "7", "expected \",\" or the end"},
           {"a desc, a", "8", "stands here twice"},
           {"a;b", "1", "but found"},
           {"a,b,c,d,e,f,g,h,i", "16", "at most 8 fields"},
       }) {
    SCOPED_TRACE(text);
    auto terms = ParseOrderBy(text);
    ASSERT_FALSE(terms.ok());
    EXPECT_EQ(ReasonOf(terms.status()), type::v1::ERROR_REASON_FILTER_INVALID);
    EXPECT_EQ(MetadataOf(terms.status())["position"], position);
    EXPECT_THAT(std::string(terms.status().message()), HasSubstr(message));
  }
  EXPECT_FALSE(ParseOrderBy(std::string(kOrderLengthMax + 1, 'a')).ok());
}

class FilterValueTest : public ::testing::Test {
 protected:
  FilterValueTest() {
    call_.start = *ParseTime("2026-11-23T23:30:00Z");  // the 24th in Berlin
    call_.time_zone = "Europe/Berlin";
    call_.principal.kind = Principal::Kind::kUser;
    call_.principal.user_id = NewId("user", call_.start);
    call_.principal.teams = {NewUuid(call_.start), NewUuid(call_.start)};
  }
  Call call_;
};

TEST_F(FilterValueTest, Numbers) {
  EXPECT_EQ(*NumberOf(One("a = -1200.50")), "-1200.50");
  EXPECT_EQ(*NumberOf(One(R"(a = "7")")), "7");
  for (const char* bad : {"1e5", "NaN", "1.", ".5", "--1", "1.2.3", "x", "\"\"", "+1", "\" 1\"", "null", "1*", "me",
                          "1234567890123456789012345678901", "0.1234567890123456789012345678901"}) {
    auto number = NumberOf(One(absl::StrCat("a = ", bad)));
    ASSERT_FALSE(number.ok()) << bad;
    EXPECT_EQ(MetadataOf(number.status())["position"], "4");
    EXPECT_THAT(std::string(number.status().message()), HasSubstr("a needs a number"));
  }
  EXPECT_EQ(*IntegerOf(One("a = -5"), -5, 5), -5);
  EXPECT_EQ(*IntegerOf(One("a = 9223372036854775807"), 0, std::numeric_limits<int64_t>::max()),
            std::numeric_limits<int64_t>::max());
  for (const char* bad : {"6", "-6", "1.0", "9223372036854775808", "\" 1\"", "+1", "x", "\"\"", "-"}) {
    EXPECT_FALSE(IntegerOf(One(absl::StrCat("a = ", bad)), -5, 5).ok()) << bad;
  }
}

TEST_F(FilterValueTest, BoolsAndEnums) {
  EXPECT_TRUE(*BoolOf(One("a = true")));
  EXPECT_FALSE(*BoolOf(One("a = false")));
  EXPECT_FALSE(BoolOf(One("a = 1")).ok());
  EXPECT_EQ(*EnumOf(One("a = VIEW_FULL"), type::v1::View_descriptor()), 2);
  auto wrong = EnumOf(One("a = FULL"), type::v1::View_descriptor());
  EXPECT_THAT(std::string(wrong.status().message()), HasSubstr("one of VIEW_UNSPECIFIED, VIEW_BASIC, VIEW_FULL"));
  EXPECT_FALSE(EnumOf(One("a = 2"), type::v1::View_descriptor()).ok());
}

TEST_F(FilterValueTest, Ids) {
  const std::string contact = NewId("contact", call_.start);
  EXPECT_THAT(*IdTextsOf(One("a = " + contact), call_, "contact,company"), ElementsAre(contact));
  EXPECT_THAT(*IdTextsOf(One("a = " + contact), call_, "*"), ElementsAre(contact));
  EXPECT_THAT(*IdsOf(One("a = " + contact), call_, "contact"), ElementsAre(*ParseId(contact, "contact", "a")));
  EXPECT_THAT(std::string(IdsOf(One("a = " + contact), call_, "company").status().message()),
              HasSubstr("an id that starts with company_"));
  EXPECT_FALSE(IdsOf(One("a = x"), call_, "*").ok());
  EXPECT_FALSE(IdsOf(One("a = contact*"), call_, "contact").ok());

  EXPECT_THAT(*IdTextsOf(One("a = me"), call_, "user"), ElementsAre(call_.principal.user_id));
  EXPECT_FALSE(IdsOf(One("a = me"), call_, "team").ok());
  EXPECT_THAT(*IdsOf(One("a = my_team()"), call_, "team"),
              ElementsAre(call_.principal.teams[0], call_.principal.teams[1]));
  EXPECT_FALSE(IdsOf(One("a = my_team()"), call_, "user").ok());
  call_.principal.kind = Principal::Kind::kService;
  EXPECT_THAT(*IdsOf(One("a = me"), call_, "user"), IsEmpty());
}

TEST_F(FilterValueTest, DaysAreTheCallersOwn) {
  EXPECT_EQ(*DateOf(One("a = today()"), call_), "2026-11-24");
  EXPECT_EQ(*DateOf(One("a = days(-24)"), call_), "2026-10-31");
  EXPECT_EQ(*DateOf(One("a = 2024-02-29"), call_), "2024-02-29");
  for (const char* bad : {"2023-02-29", "2026-11-23T00:00:00Z", "today", "x", "2026-11-2*", "99999-01-01"}) {
    EXPECT_FALSE(DateOf(One(absl::StrCat("a = ", bad)), call_).ok()) << bad;
  }
  auto today = TimeRangeOf(One("a = today()"), call_);
  ASSERT_TRUE(today.ok());
  EXPECT_EQ(TimeText(today->begin), "2026-11-23T23:00:00Z");
  EXPECT_EQ(TimeText(today->end), "2026-11-24T23:00:00Z");
  EXPECT_FALSE(today->moment());
  auto long_day = TimeRangeOf(One("a = 2026-10-25"), call_);  // clocks go back
  EXPECT_EQ(long_day->end - long_day->begin, absl::Hours(25));
  auto moment = TimeRangeOf(One("a > 2026-10-25T02:00:00+02:00"), call_);
  ASSERT_TRUE(moment.ok());
  EXPECT_TRUE(moment->moment());
  EXPECT_EQ(TimeText(moment->begin), "2026-10-25T00:00:00Z");
  auto bad = TimeRangeOf(One("a > 2026-10-25T25:00:00Z"), call_);
  EXPECT_THAT(std::string(bad.status().message()), HasSubstr("a time like"));
}

}  // namespace
}  // namespace crm::filter
