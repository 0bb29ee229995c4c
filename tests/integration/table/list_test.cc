// Lists: pages in every order, counts, past moments, and filters against a naive evaluator.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_join.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cwctype>
#include <set>

#include "common/base/decimal.h"
#include "common/base/filter.h"
#include "common/base/filter_match.h"
#include "common/base/text.h"
#include "tests/integration/table/things.h"

namespace crm::table_tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// ---- the naive evaluator: what a filter means, said over messages ----

using filter::Compare;
using filter::Op;
using Value = filter::Value;

bool Related(std::strong_ordering order, Op op) {
  switch (op) {
    case Op::kLess:
      return order < 0;
    case Op::kLessEqual:
      return order <= 0;
    case Op::kGreater:
      return order > 0;
    case Op::kGreaterEqual:
      return order >= 0;
    default:
      return order == 0;
  }
}

// In small letters, as the C library has them.
std::string Folded(const std::string& text) {
  static const locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", nullptr);
  const locale_t before = uselocale(locale);
  std::wstring wide(text.size(), 0);
  wide.resize(std::mbstowcs(wide.data(), text.c_str(), wide.size()));
  for (wchar_t& letter : wide) letter = static_cast<wchar_t>(std::towlower(static_cast<wint_t>(letter)));
  std::string small(wide.size() * MB_CUR_MAX, '\0');
  small.resize(std::wcstombs(small.data(), wide.c_str(), small.size()));
  uselocale(before);
  return small;
}

bool TextMatches(const std::optional<std::string>& has, const Compare& c, bool element = false) {
  if (c.value.kind == Value::Kind::kAny) return has && !has->empty();
  if (!has) return false;
  const std::string &text = *has, &value = c.value.text;
  const bool before = c.value.any_before, after = c.value.any_after;
  if (c.op == Op::kHas && !element) return absl::StrContains(Folded(text), Folded(value));
  if (before || after) {
    const std::string a = Folded(text), b = Folded(value);
    if (before && after) return absl::StrContains(a, b);
    return before ? absl::EndsWith(a, b) : absl::StartsWith(a, b);
  }
  if (c.op == Op::kEqual || c.op == Op::kHas) return text == value;
  return !text.empty() && Related(text.compare(value) <=> 0, c.op);
}

bool NumberMatches(const std::optional<Decimal>& has, const Compare& c, bool presence) {
  if (c.value.kind == Value::Kind::kAny) return has && (presence || !has->IsZero());
  return has && Related(*has <=> *Decimal::Parse(c.value.text), c.op);
}

bool EnumMatches(int number, const Compare& c) {
  if (c.value.kind == Value::Kind::kAny) return number != 0;
  return tv::Kind_Name(number) == c.value.text;
}

bool BoolMatches(bool has, const Compare& c) {
  if (c.value.kind == Value::Kind::kAny) return has;
  return has == (c.value.text == "true");
}

bool IdMatches(const std::string& has, const Compare& c, const Call& call) {
  if (c.value.kind == Value::Kind::kAny) return !has.empty();
  if (c.value.kind == Value::Kind::kMe) return has == call.principal.user_id;
  if (c.value.kind == Value::Kind::kMyTeam) {
    return std::any_of(call.principal.teams.begin(), call.principal.teams.end(),
                       [&](const Uuid& team) { return has == TypeId("team", team); });
  }
  return has == c.value.text;
}

bool DateMatches(const std::string& has, const Compare& c, const Call& call) {
  if (c.value.kind == Value::Kind::kAny) return !has.empty();
  return !has.empty() && Related(has.compare(*filter::DateOf(c, call)) <=> 0, c.op);
}

bool TimeMatches(bool present, const google::protobuf::Timestamp& has, const Compare& c, const Call& call) {
  if (c.value.kind == Value::Kind::kAny || !present) return present;
  const auto range = *filter::TimeRangeOf(c, call);
  const absl::Time time = FromTimestamp(has);
  switch (c.op) {
    case Op::kLess:
      return time < range.begin;
    case Op::kLessEqual:
      return range.moment() ? time <= range.begin : time < range.end;
    case Op::kGreater:
      return range.moment() ? time > range.begin : time >= range.end;
    case Op::kGreaterEqual:
      return time >= range.begin;
    default:
      return range.moment() ? time == range.begin : time >= range.begin && time < range.end;
  }
}

bool AnythingMatches(const google::protobuf::Value* has, const Compare& c) {
  if (has == nullptr) return false;
  const bool is_text = has->kind_case() == google::protobuf::Value::kStringValue;
  const bool is_number = has->kind_case() == google::protobuf::Value::kNumberValue;
  if (c.value.kind == Value::Kind::kAny) return !(is_text && has->string_value().empty());
  const auto number = Decimal::Parse(c.value.text);
  const std::optional<Decimal> held =
      is_number ? std::optional<Decimal>(*Decimal::Parse(absl::StrCat(has->number_value()))) : std::nullopt;
  const bool text_op = c.op == Op::kHas || c.value.any_before || c.value.any_after;
  if (text_op) return is_text && TextMatches(has->string_value(), c);
  if (c.op != Op::kEqual) {
    if (number.ok()) return held && Related(*held <=> *number, c.op);
    return is_text && TextMatches(has->string_value(), c);
  }
  if (is_text) return has->string_value() == c.value.text;
  if (is_number) return number.ok() && *held == *number;
  return c.value.text == (has->bool_value() ? "true" : "false");
}

template <typename List, typename F>
bool AnyOf(const List& list, F matches) {
  return std::any_of(list.begin(), list.end(), matches);
}

std::optional<Decimal> DecimalOf(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<Decimal>(*Decimal::Parse(text));
}
std::optional<Decimal> Whole(int64_t number) { return Decimal(number); }

bool CompareMatches(const Thing& t, Compare c, const Call& call) {
  const std::string path = c.PathText();
  const bool any = c.value.kind == Value::Kind::kAny;
  if (path == "name") return TextMatches(t.name(), c);
  if (path == "code") return TextMatches(t.code(), c);
  if (path == "status") return TextMatches(t.status(), c);
  if (path == "nickname") return TextMatches(t.has_nickname() ? std::optional(t.nickname()) : std::nullopt, c);
  if (path == "shop") return TextMatches(t.has_shop() ? std::optional(t.shop()) : std::nullopt, c);
  if (path == "active") return BoolMatches(t.active(), c);
  if (path == "count") return NumberMatches(Whole(t.count()), c, false);
  if (path == "size") return NumberMatches(Whole(t.size()), c, false);
  if (path == "big") return NumberMatches(Whole(t.big()), c, false);
  if (path == "rank") return NumberMatches(t.has_rank() ? Whole(t.rank()) : std::nullopt, c, true);
  if (path == "shelf") return NumberMatches(t.has_shelf() ? Whole(t.shelf()) : std::nullopt, c, true);
  if (path == "ratio") return NumberMatches(Decimal::Parse(absl::StrCat(t.ratio())).value(), c, false);
  if (path == "price") return NumberMatches(DecimalOf(t.price()), c, true);
  if (path == "cost" || path == "cost.amount") return NumberMatches(DecimalOf(t.cost().amount()), c, true);
  if (path == "cost.currency_code") {
    return TextMatches(t.has_cost() ? std::optional(t.cost().currency_code()) : std::nullopt, c);
  }
  if (path == "kind") return EnumMatches(t.kind(), c);
  if (path == "due_date") return DateMatches(t.due_date(), c, call);
  if (path == "seen_time") return TimeMatches(t.has_seen_time(), t.seen_time(), c, call);
  if (path == "parent_id") return IdMatches(t.parent_id(), c, call);
  if (path == "link_id") return IdMatches(t.link_id(), c, call);
  if (path == "owner_id") return IdMatches(t.owner_id(), c, call);
  if (path == "team_id") return IdMatches(t.team_id(), c, call);
  if (path == "watcher_ids") return AnyOf(t.watcher_ids(), [&](auto& e) { return any || IdMatches(e, c, call); });
  if (path == "tags") return AnyOf(t.tags(), [&](auto& e) { return any || TextMatches(e, c, true); });
  if (path == "numbers") return AnyOf(t.numbers(), [&](int e) { return any || NumberMatches(Whole(e), c, true); });
  if (path == "kinds") return AnyOf(t.kinds(), [&](int e) { return any || EnumMatches(e, c); });
  if (path == "parts") return t.parts_size() > 0;
  if (path == "parts.name") return AnyOf(t.parts(), [&](auto& e) { return TextMatches(e.name(), c); });
  if (path == "parts.count")
    return AnyOf(t.parts(), [&](auto& e) { return NumberMatches(Whole(e.count()), c, false); });
  if (path == "parts.spare") return AnyOf(t.parts(), [&](auto& e) { return BoolMatches(e.spare(), c); });
  if (path == "parts.kind") return AnyOf(t.parts(), [&](auto& e) { return EnumMatches(e.kind(), c); });
  if (path == "parts.colors") {
    return AnyOf(t.parts(), [&](auto& part) {
      return AnyOf(part.colors(), [&](auto& e) { return any || TextMatches(e, c, true); });
    });
  }
  if (path == "place") return t.has_place();
  if (path == "place.city") {
    // An unset message has the defaults of its fields.
    if (c.op == Op::kEqual && c.value.text.empty() && !c.value.any_before && !c.value.any_after)
      return t.place().city().empty();
    return TextMatches(t.has_place() ? std::optional(t.place().city()) : std::nullopt, c);
  }
  if (path == "place.floor") {
    if (c.op == Op::kEqual) return NumberMatches(Whole(t.place().floor()), c, false);
    return NumberMatches(t.has_place() ? Whole(t.place().floor()) : std::nullopt, c, false);
  }
  if (path == "place.guarded") return BoolMatches(t.place().guarded(), c);
  if (path == "place.kind") return EnumMatches(t.place().kind(), c);
  if (path == "place.since") return DateMatches(t.place().since(), c, call);
  if (path == "labels") return any ? !t.labels().empty() : t.labels().contains(c.value.text);
  if (path == "labels.size") {
    auto it = t.labels().find("size");
    return TextMatches(it == t.labels().end() ? std::nullopt : std::optional(it->second), c);
  }
  if (absl::StartsWith(path, "extra.")) {
    auto it = t.extra().fields().find(c.path[1]);
    return AnythingMatches(it == t.extra().fields().end() ? nullptr : &it->second, c);
  }
  ADD_FAILURE() << "the evaluator does not know " << path;
  return false;
}

bool Matches(const Thing& thing, const filter::Node& node, const Call& call) {
  switch (node.kind) {
    case filter::Node::Kind::kNot:
      return !Matches(thing, node.children[0], call);
    case filter::Node::Kind::kAnd:
      return std::all_of(node.children.begin(), node.children.end(),
                         [&](const auto& child) { return Matches(thing, child, call); });
    case filter::Node::Kind::kOr:
      return std::any_of(node.children.begin(), node.children.end(),
                         [&](const auto& child) { return Matches(thing, child, call); });
    case filter::Node::Kind::kCompare: {
      Compare c = node.compare;
      bool negated = c.op == Op::kNotEqual;
      if (negated) c.op = Op::kEqual;
      if (c.value.kind == Value::Kind::kNull) {
        c.value.kind = Value::Kind::kAny;
        c.op = Op::kHas;
        negated = !negated;
      }
      return CompareMatches(thing, c, call) != negated;
    }
  }
  return false;
}

// ---- random filters ----

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '*') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string TextCondition(Random& r, const std::string& field, bool ordered) {
  std::string word = Quoted(r.Part());
  if (r.Chance(20)) word.insert(1, "*");
  if (r.Chance(20)) word.insert(word.size() - 1, "*");
  if (word == "\"*\"" || word == "\"**\"") word = "\"a*\"";
  const bool wild = absl::StrContains(word, "\"*") || absl::EndsWith(word, "*\"");
  const bool escaped_end = absl::EndsWith(word, "\\*\"");
  switch (r.Below(ordered && !wild && !escaped_end ? 6 : 4)) {
    case 0:
      return field + " != " + word;
    case 1:
      return field + ":" + Quoted(r.Part());
    case 2:
      return r.Chance(50) ? field + ":*" : field + " = null";
    case 3:
      return field + " = " + word;
    default:
      return field + r.Of<std::string>({" < ", " <= ", " > ", " >= "}) + Quoted(r.Word());
  }
}

std::string Ordered(Random& r, const std::string& field, const std::string& value) {
  if (r.Chance(10)) return r.Chance(50) ? field + ":*" : field + " != null";
  return field + r.Of<std::string>({" = ", " != ", " < ", " <= ", " > ", " >= "}) + value;
}

std::string Equality(Random& r, const std::string& field, const std::string& value) {
  if (r.Chance(15)) return r.Chance(50) ? field + ":*" : field + " = null";
  return field + (r.Chance(50) ? " = " : " != ") + value;
}

std::string Has(Random& r, const std::string& field, const std::string& value) {
  return r.Chance(20) ? field + ":*" : field + ":" + value;
}

std::string Condition(Random& r) {
  const std::string kind = tv::Kind_Name(r.Kind());
  const std::string boolean = r.Chance(50) ? "true" : "false";
  switch (r.Below(37)) {
    case 0:
      return TextCondition(r, "name", true);
    case 1:
      return TextCondition(r, "code", true);
    case 2:
      return TextCondition(r, "nickname", true);
    case 3:
      return TextCondition(r, "shop", true);
    case 4:
      return Equality(r, "active", boolean);
    case 5:
      return Ordered(r, "count", absl::StrCat(r.Below(5) - 2));
    case 6:
      return Ordered(r, "size", absl::StrCat(r.Below(3)));
    case 7:
      return Ordered(r, "big", r.Chance(30) ? "9007199254740993" : "9007199254740992");
    case 8:
      return Ordered(r, "rank", absl::StrCat(r.Below(3)));
    case 9:
      return Ordered(r, "shelf", absl::StrCat(r.Below(3)));
    case 10:
      return Ordered(r, "ratio", r.Of<std::string>({"0", "0.5", "-1", "0.50", "0.125", "-0.875"}));
    case 11:
      return Ordered(r, "price", r.Price());
    case 12:
      return Ordered(r, r.Chance(50) ? "cost" : "cost.amount", r.Price());
    case 13:
      return Equality(r, "cost.currency_code", "EUR");
    case 14:
      return Equality(r, "kind", kind);
    case 15:
      return Ordered(r, "due_date", r.Date());
    case 16:
      return Ordered(r, "seen_time", r.Chance(50) ? r.Date() : Quoted(FormatTime(r.Time())));
    case 17:
      return Equality(r, "parent_id", r.Id("thing"));
    case 18:
      return Equality(r, "link_id", r.Id(r.Chance(50) ? "deal" : "contact"));
    case 19:
      return Equality(r, "owner_id", r.Chance(50) ? "me" : r.Id("user"));
    case 20:
      return Equality(r, "team_id", r.Chance(50) ? "my_team()" : r.Id("team"));
    case 21:
      return Has(r, "watcher_ids", r.Chance(50) ? "me" : r.Id("user"));
    case 22:
      return Has(r, "tags", Quoted(r.Word()));
    case 23:
      return Has(r, "numbers", absl::StrCat(r.Below(4)));
    case 24:
      return Has(r, "kinds", kind);
    case 25:
      return r.Chance(10) ? "parts:*" : TextCondition(r, "parts.name", false);
    case 26:
      return Ordered(r, "parts.count", absl::StrCat(r.Below(4)));
    case 27:
      return Equality(r, "parts.spare", boolean);
    case 28:
      return Equality(r, "parts.kind", kind);
    case 29:
      return Has(r, "parts.colors", Quoted(r.Word()));
    case 30:
      return r.Chance(10) ? "place:*" : TextCondition(r, "place.city", false);
    case 31:
      return Ordered(r, "place.floor", absl::StrCat(r.Below(4) - 1));
    case 32:
      return r.Chance(50) ? Equality(r, "place.guarded", boolean) : Equality(r, "place.kind", kind);
    case 33:
      return Ordered(r, "place.since", r.Date());
    case 34:
      return Has(r, "labels", r.Of<std::string>({"a", "size", "none"}));
    case 35:
      return TextCondition(r, "labels.size", false);
    default:
      if (r.Chance(40)) return TextCondition(r, "extra.size", true);
      if (r.Chance(50)) return Ordered(r, "extra.weight", r.Of<std::string>({"0", "0.5", "1", "x", "0.125"}));
      return Equality(r, "extra.open", boolean);
  }
}

std::string RandomFilter(Random& r, int depth) {
  if (depth == 0 || r.Chance(35)) return Condition(r);
  const std::string a = RandomFilter(r, depth - 1), b = RandomFilter(r, depth - 1);
  switch (r.Below(4)) {
    case 0:
      return absl::StrCat("(", a, ") AND (", b, ")");
    case 1:
      return absl::StrCat("(", a, " OR ", b, ")");
    case 2:
      return absl::StrCat("NOT (", a, ")");
    default:
      return absl::StrCat("(", a, ") -(", b, ")");
  }
}

class ListTest : public TableTest {
 protected:
  // Many at once: one write each would take its time.
  std::vector<Thing> CreateMany(Random& random, int count) {
    const Call call = NewCall();
    std::vector<Thing> things;
    pg::Batch batch(call);
    for (int i = 0; i < count; ++i) {
      Thing thing = random.NewThing();
      pg::StampNew(call, things_, thing);
      if (thing.team_id().empty() && random.Chance(50)) thing.set_team_id(TypeId("team", team_));
      *thing.mutable_create_time() = ToTimestamp(random.Time());
      *thing.mutable_update_time() = thing.create_time();
      things_.AddInsert(batch, thing);
      things.push_back(std::move(thing));
    }
    auto written = loop_.Run(db().Write(call, std::move(batch)));
    EXPECT_TRUE(written.ok()) << written.status();
    return things;
  }

  std::vector<std::string> IdsOf(const std::vector<Thing>& things) {
    std::vector<std::string> ids;
    for (const auto& thing : things) ids.push_back(thing.id());
    return ids;
  }

  // All pages, in order.
  std::vector<Thing> All(pg::ListArgs args, int* pages = nullptr) {
    std::vector<Thing> all;
    const Call call = NewCall();
    for (int page = 0; page < 1000; ++page) {
      auto got = List(call, args);
      EXPECT_TRUE(got.ok()) << got.status();
      if (!got.ok()) return all;
      for (auto& item : got->items) all.push_back(std::move(item));
      if (pages != nullptr) *pages = page + 1;
      if (got->next_page_token.empty()) return all;
      EXPECT_EQ(static_cast<int>(got->items.size()), args.page_size);
      args.page_token = got->next_page_token;
    }
    ADD_FAILURE() << "pages without end";
    return all;
  }
};

// Some hundred filters in every run; CRM_LONG=1: each of twenty tenants' records by a thousand.
TEST_F(ListTest, FiltersMeanWhatTheNaiveEvaluatorSays) {
  const uint32_t seed = Seed();
  SCOPED_TRACE(absl::StrCat("CRM_TEST_SEED=", seed));
  const char* given = std::getenv("CRM_LONG");
  const bool longer = given != nullptr && *given != '\0';
  const int tenants = longer ? 20 : 1, filters = longer ? 1000 : 600;
  int matching = 0, failures = 0;
  for (int round = 0; round < tenants; ++round) {
    Random random(seed + static_cast<uint32_t>(round));
    tenant_ = testing::NewTenant();
    const auto things = CreateMany(random, 250);
    Call call = NewCall();
    call.principal.user_id = random.Id("user");
    call.principal.teams = {ParseId(random.Id("team"))->uuid, team_};
    call.time_zone = random.Of<std::string>({"Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"});
    for (int i = 0; i < filters && failures < 5; ++i) {
      const std::string text = RandomFilter(random, 3);
      auto node = filter::Parse(text);
      ASSERT_TRUE(node.ok()) << text << ": " << node.status();
      std::set<std::string> expected, found;
      for (const auto& thing : things) {
        if (Matches(thing, *node, call)) expected.insert(thing.id());
        const auto in_memory = filter::Matches(call, *node, thing);
        ASSERT_TRUE(in_memory.ok()) << text << ": " << in_memory.status();
        ASSERT_EQ(*in_memory, expected.contains(thing.id())) << text << "\n" << thing.ShortDebugString();
      }
      call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      auto page = List(call, {.filter = text, .page_size = 500});
      ASSERT_TRUE(page.ok()) << text << ": " << page.status();
      for (const auto& thing : page->items) found.insert(thing.id());
      matching += static_cast<int>(expected.size());
      if (found == expected) continue;
      ++failures;
      for (const auto& thing : things) {
        if (found.contains(thing.id()) == expected.contains(thing.id())) continue;
        ADD_FAILURE() << text << (found.contains(thing.id()) ? "\nmust not answer " : "\nmust answer ")
                      << thing.ShortDebugString();
        break;
      }
    }
  }
  // Filters that never match, or always, would prove nothing.
  EXPECT_GT(matching, tenants * filters * 10);
  EXPECT_LT(matching, tenants * filters * 240);
}

TEST_F(ListTest, PagesJoinToTheWholeInEveryOrder) {
  const uint32_t seed = Seed();
  SCOPED_TRACE(absl::StrCat("CRM_TEST_SEED=", seed));
  Random random(seed);
  const auto things = CreateMany(random, 83);
  std::set<std::string> expected;
  for (const auto& thing : things) expected.insert(thing.id());
  for (const char* order :
       {"", "id", "id desc", "name", "name desc", "nickname desc", "rank", "rank desc", "due_date desc, count",
        "cost desc", "price, seen_time desc", "active desc, kind", "ratio desc, big desc", "seen_time, rank desc, shop",
        "link_id desc, parent_id", "cost.currency_code, size desc", "create_time", "owner_id desc, create_time desc"}) {
    SCOPED_TRACE(order);
    const auto whole = All({.order_by = order, .page_size = 500});
    EXPECT_EQ(whole.size(), things.size());
    int pages = 0;
    const auto paged = All({.order_by = order, .page_size = 7}, &pages);
    EXPECT_EQ(pages, 12);
    EXPECT_EQ(IdsOf(paged), IdsOf(whole));
    std::set<std::string> seen;
    for (const auto& thing : paged) seen.insert(thing.id());
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(ListTest, WhatIsNotSetComesLast) {
  for (const int rank : {2, -1, 0, 1}) {
    Thing thing;
    thing.set_name(absl::StrCat(rank));
    if (rank >= 0) thing.set_rank(rank);
    Create(thing);
  }
  EXPECT_THAT(Names(List(NewCall(), {.order_by = "rank"})), ElementsAre("0", "1", "2", "-1"));
  EXPECT_THAT(Names(List(NewCall(), {.order_by = "rank desc"})), ElementsAre("2", "1", "0", "-1"));
}

TEST_F(ListTest, APageTokenBelongsToItsList) {
  for (int i = 0; i < 3; ++i) Create(Thing());
  const Call call = NewCall();
  auto page = List(call, {.filter = "count = 0", .page_size = 1});
  ASSERT_TRUE(page.ok());
  const std::string token = page->next_page_token;
  ASSERT_FALSE(token.empty());
  const auto reason = [&](const Call& by, pg::ListArgs args) {
    args.page_token = token;
    return ReasonOf(List(by, std::move(args)).status());
  };
  EXPECT_TRUE(List(call, {.filter = "count = 0", .page_size = 2, .page_token = token}).ok());
  EXPECT_EQ(reason(call, {.filter = "count = 1"}), type::v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  EXPECT_EQ(reason(call, {.filter = "count = 0", .order_by = "name"}), type::v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  EXPECT_EQ(reason(call, {.filter = "count = 0", .show_deleted = true}), type::v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  Call other = call;
  other.principal.tenant = testing::NewTenant();
  EXPECT_EQ(reason(other, {.filter = "count = 0"}), type::v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  other = call;
  other.method = "another";
  EXPECT_EQ(reason(other, {.filter = "count = 0"}), type::v1::ERROR_REASON_PAGE_TOKEN_INVALID);
}

TEST_F(ListTest, PageSizesHaveBounds) {
  Random random(1);
  CreateMany(random, 60);
  EXPECT_EQ(List(NewCall(), {})->items.size(), 50u);
  EXPECT_EQ(List(NewCall(), {.page_size = 100'000})->items.size(), 60u);
  auto negative = List(NewCall(), {.page_size = -1});
  EXPECT_EQ(ViolationsOf(negative.status())[0].field, "page_size");
}

TEST_F(ListTest, CountsAreExactOrEstimated) {
  Random random(2);
  const auto things = CreateMany(random, 120);
  int active = 0;
  for (const auto& thing : things) active += thing.active() ? 1 : 0;
  EXPECT_EQ(List(NewCall(), {})->total_size, std::nullopt);
  auto exact = List(NewCall(), {.filter = "active = true", .page_size = 5, .count = type::v1::COUNT_EXACT});
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_EQ(exact->total_size, active);
  auto later = List(NewCall(), {.filter = "active = true",
                                .page_size = 5,
                                .page_token = exact->next_page_token,
                                .count = type::v1::COUNT_EXACT});
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->total_size, active);
  testing::Servers::Get().Sql("ANALYZE thing.thing");
  auto estimate = List(NewCall(), {.page_size = 5, .count = type::v1::COUNT_ESTIMATE});
  ASSERT_TRUE(estimate.ok()) << estimate.status();
  EXPECT_GE(*estimate->total_size, 6);
  EXPECT_LE(*estimate->total_size, 1000);
  // What fits on the first page is counted by looking.
  EXPECT_EQ(List(NewCall(), {.page_size = 200, .count = type::v1::COUNT_ESTIMATE})->total_size, 120);
}

TEST_F(ListTest, ListsAsOfAMomentShowWhatWasThen) {
  const absl::Time begin = absl::FromUnixSeconds(1'700'000'000);
  const auto at = [&](int second) {
    Call call = NewCall();
    call.start = begin + absl::Seconds(second);
    return call;
  };
  const auto make = [&](int second, const char* name, int count) {
    Thing thing;
    thing.set_name(name);
    thing.set_count(count);
    const Call call = at(second);
    pg::StampNew(call, things_, thing);
    return Create(call, thing);
  };
  Thing a = make(0, "a", 1);
  make(1, "b", 2);
  Thing c = make(2, "c", 3);
  Thing changed = a;
  changed.set_count(9);
  ASSERT_TRUE(Update(at(10), a, changed).ok());
  Thing deleted = c;
  *deleted.mutable_delete_time() = ToTimestamp(at(20).start);
  ASSERT_TRUE(Update(at(20), c, deleted).ok());

  const auto names = [&](int second, const char* filter = "") {
    return Names(List(NewCall(), {.filter = filter, .order_by = "name", .as_of = begin + absl::Seconds(second)}));
  };
  EXPECT_THAT(names(-1), ElementsAre());
  EXPECT_THAT(names(1), ElementsAre("a", "b"));
  EXPECT_THAT(names(5), ElementsAre("a", "b", "c"));
  EXPECT_THAT(names(5, "count = 1"), ElementsAre("a"));
  EXPECT_THAT(names(15, "count = 1"), ElementsAre());
  EXPECT_THAT(names(15, "count = 9"), ElementsAre("a"));
  EXPECT_THAT(names(25), ElementsAre("a", "b"));

  // Pages too, over both tables.
  pg::ListArgs args{.order_by = "name desc", .page_size = 1, .as_of = begin + absl::Seconds(5)};
  EXPECT_THAT(IdsOf(All(args)), ElementsAre(c.id(), ::testing::_, a.id()));
  args = {.count = type::v1::COUNT_EXACT, .as_of = begin + absl::Seconds(5)};
  EXPECT_EQ(List(NewCall(), args)->total_size, 3);
}

TEST_F(ListTest, AServicesOwnConditionIsAdded) {
  for (const char* name : {"a", "b", "c"}) {
    Thing thing;
    thing.set_name(name);
    Create(thing);
  }
  pg::ListArgs args{.filter = "name != 'a'", .where = "t.name <> $1 AND t.count = $2"};
  args.where_params.Text("c").Int(0);
  EXPECT_THAT(Names(List(NewCall(), args)), ElementsAre("b"));
  things_.AddFilterField({"keyed", [](const Call&, const filter::Compare& compare) -> absl::StatusOr<pg::Fragment> {
                            CRM_TRY(std::string key, filter::TextOf(compare));
                            return pg::Fragment{
                                "EXISTS (SELECT 1 FROM thing_key_view k WHERE k.key = $1 AND k.thing_id = t.id)",
                                pg::Params().Text(key)};
                          }});
  Thing keyed;
  keyed.set_name("keyed");
  keyed = Create(keyed);
  testing::Servers::Get().Sql(absl::StrCat("INSERT INTO thing.thing_key VALUES ('", tenant_.ToString(), "', '+49', '",
                                           ParseId(keyed.id())->uuid.ToString(), "')"));
  EXPECT_THAT(Names(List(NewCall(), {.filter = "keyed = '+49'"})), ElementsAre("keyed"));
  EXPECT_EQ(Names(List(NewCall(), {.filter = "NOT keyed = '+49'"})).size(), 3u);
}

TEST_F(ListTest, ATreeIsAFilterToo) {
  for (const char* name : {"a", "b"}) {
    Thing thing;
    thing.set_name(name);
    Create(thing);
  }
  pg::ListArgs args;
  args.tree.emplace();
  auto* compare = args.tree->mutable_compare();
  compare->set_field("name");
  compare->set_operator_(type::v1::FilterTreeCompare::OPERATOR_EQUAL);
  compare->set_value("b");
  EXPECT_THAT(Names(List(NewCall(), args)), ElementsAre("b"));
  args.filter = "name = 'a'";
  EXPECT_THAT(Names(List(NewCall(), args)), ElementsAre());
}

TEST_F(ListTest, ASlowListSaysWhatToNarrow) {
  Create(Thing());
  const auto started = std::chrono::steady_clock::now();
  auto slow = List(NewCall(), {.where = "pg_sleep(20) IS NOT NULL"});
  EXPECT_EQ(slow.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(slow.status()), type::v1::ERROR_REASON_QUERY_TOO_SLOW);
  EXPECT_EQ(MetadataOf(slow.status())["hint"], "owner_id");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
}

TEST_F(ListTest, NoValueRaises) {
  Create(Thing());
  Random random(3);
  CreateMany(random, 30);
  for (const char* filter : {"name = '\\\\'",
                             "name:'\\\\'",
                             "name = '\\\\*'",
                             "tags:'{'",
                             "tags:'\"'",
                             "labels:'\\\\u0000'",
                             "extra.size = 1e5",
                             "extra.weight > 99999999999999999999999999999",
                             "parts.count > 99999999999999999999999999999.5",
                             "price > 999999999999999999999999999999.999999999999999999999999999999",
                             "ratio < -999999999999999999999999999999",
                             "extra.'a b' = 5",
                             "labels.'x\\'y\"z' = 'q'",
                             "create_time > '9999-12-31T23:59:59.999999Z'",
                             "create_time > '0001-01-01T00:00:00Z'",
                             "due_date > 9999-12-31",
                             "seen_time = 0001-01-01",
                             "numbers:2147483647",
                             "big = -9223372036854775808",
                             "name = 'Ω≈ç√∫˜µ≤≥÷'"}) {
    auto node = filter::Parse(filter);
    if (!node.ok()) continue;  // the language has no such text
    auto page = List(NewCall(), {.filter = filter});
    EXPECT_TRUE(page.ok() || ReasonOf(page.status()) == type::v1::ERROR_REASON_FILTER_INVALID)
        << filter << ": " << page.status();
  }
}

}  // namespace
}  // namespace crm::table_tests
