// What the table tests share: the schema of the test record, its database and random records.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/time.h"
#include "common/pg/db.h"
#include "common/pg/migrate.h"
#include "common/pg/table.h"
#include "crm/testing/v1/thing.pb.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::table_tests {

using testing::v1::Label;
using testing::v1::Thing;
namespace tv = testing::v1;

inline void MigrateThings() {
  static const bool done = [] {
    pg::MigrateOptions options;
    options.conninfo = testing::Servers::Get().Admin();
    options.schema = "thing";
    options.common_dir = testing::Servers::Source() + "/common/pg/migrations";
    options.service_dir = testing::Servers::Source() + "/tests/integration/table/migrations";
    auto report = pg::Migrate(options);
    if (!report.ok()) {
      ADD_FAILURE() << report.status();
      std::abort();
    }
    return true;
  }();
  (void)done;
}

class TableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS();
    MigrateThings();
  }

  pg::Db& db() {
    if (!db_) {
      db_ = std::make_unique<pg::Db>(testing::Servers::Get().Db("thing"),
                                     std::vector<asio::any_io_executor>{loop_.executor()});
    }
    return *db_;
  }

  // Like TestCall, each time with a new idempotency key.
  Call NewCall() {
    Call call = testing::TestCall(tenant_);
    call.principal.user_id = user_;
    return call;
  }
  // With these rights to things only.
  Call CallWith(type::v1::Scope read, type::v1::Scope update, bool personal = false) {
    Call call = NewCall();
    auto rights = std::make_shared<Rights>();
    if (read != type::v1::SCOPE_UNSPECIFIED) rights->Grant("thing", type::v1::ACTION_READ, read);
    if (update != type::v1::SCOPE_UNSPECIFIED) rights->Grant("thing", type::v1::ACTION_UPDATE, update);
    rights->personal_data = personal;
    call.principal.rights = rights;
    call.principal.teams = {team_, below_};
    call.principal.team = team_;
    call.principal.team_id = TypeId("team", team_);
    return call;
  }

  Thing Create(Thing thing) {
    const Call call = NewCall();
    pg::StampNew(call, things_, thing);
    return Create(call, std::move(thing));
  }
  Thing Create(const Call& call, Thing thing) {
    auto created = loop_.Run(db().Once(call, [&](pg::Batch& batch) -> absl::StatusOr<Thing> {
      batch.Insert(things_, thing);
      return thing;
    }));
    EXPECT_TRUE(created.ok()) << created.status();
    return thing;
  }
  absl::StatusOr<Thing> Update(const Call& call, const Thing& before, Thing after) {
    pg::Touch(call, before, after);
    return loop_.Run(db().Once(call, [&](pg::Batch& batch) -> absl::StatusOr<Thing> {
      batch.Update(things_, before, after);
      return after;
    }));
  }
  absl::StatusOr<Thing> Get(const Call& call, const std::string& id, type::v1::Action action = type::v1::ACTION_READ,
                            bool show_deleted = false) {
    return loop_.Run(db().Get(call, things_, id, action, show_deleted));
  }
  absl::StatusOr<pg::Page<Thing>> List(const Call& call, pg::ListArgs args) {
    return loop_.Run(db().List(call, things_, std::move(args)));
  }
  std::vector<std::string> Names(const absl::StatusOr<pg::Page<Thing>>& page) {
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> names;
    if (page.ok()) {
      for (const auto& item : page->items) names.push_back(item.name());
    }
    return names;
  }

  // The loop goes last: connections end on it.
  testing::Loop loop_;
  std::unique_ptr<pg::Db> db_;
  pg::Table<Thing> things_{"thing"};
  pg::Table<Label> labels_{"thing"};
  Uuid tenant_ = testing::NewTenant();
  std::string user_ = NewId("user", absl::Now());
  Uuid team_ = NewUuid(absl::Now()), below_ = NewUuid(absl::Now());
};

// Values from few, so that filters and orders meet equal ones.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int Below(int bound) { return static_cast<int>(engine_() % static_cast<uint32_t>(bound)); }
  bool Chance(int percent) { return Below(100) < percent; }
  template <typename T>
  const T& Of(const std::vector<T>& values) {
    return values[static_cast<size_t>(Below(static_cast<int>(values.size())))];
  }

  static const std::vector<std::string>& Words() {
    static const std::vector<std::string> words = {
        "",     "a",    "Ab",    "aB",   "abc",  "50%",     "5_0", "back\\slash", "qu\"ote", "apos'trophe",
        "Ёлка", "ёЛКА", "x y z", "true", "12.5", "zebra",   "Zoo", "null",        "me",      "(paren)",
        "%",    "_",    "*",     "a*c",  "{}",   "[\"a\"]", "a,b", "ABC",         "-1",      "2026-01-02",
    };
    return words;
  }
  // What alphabets make hard: one letter for two, two for one, three for a sigma, marks apart and together, wide ones,
  // from right to left, beyond 16 bits.
  static const std::vector<std::string>& HardWords() {
    static const std::vector<std::string> words = {
        "Straße", "STRASSE",    "straẞe", "İzmir", "ızmir", "ΣΊΣΥΦΟΣ", "σίσυφος",  "ﬁn",       "Ａｂ",
        "Café",   "Cafe\u0301", "שלום",   "𐐀𐐨",    "😀 a",   "ǅ",       "ÅNGSTRÖM", "ångström", "\u2028",
    };
    return words;
  }
  std::string Word() { return Of(Chance(70) ? Words() : HardWords()); }
  // A word, or a piece of one.
  std::string Part() {
    const std::string word = Word();
    if (Chance(50)) return word;
    const auto boundary = [&](size_t at) {
      while (at < word.size() && (word[at] & 0xc0) == 0x80) ++at;
      return at;
    };
    const size_t begin = boundary(static_cast<size_t>(Below(static_cast<int>(word.size()) + 1)));
    return word.substr(begin, boundary(begin + static_cast<size_t>(Below(4))) - begin);
  }
  std::string Id(const std::string& prefix) {
    Uuid uuid = DerivedUuid({}, "table_tests");
    uuid.bytes[15] = static_cast<uint8_t>(Below(4));
    return TypeId(prefix, uuid);
  }
  tv::Kind Kind() { return static_cast<tv::Kind>(Below(4)); }
  std::string Date() {
    // Days on which clocks change somewhere, and others.
    if (Chance(30)) return Of<std::string>({"2026-03-08", "2026-03-29", "2026-03-30", "2026-10-25", "2026-11-01"});
    return absl::StrCat("2026-0", 1 + Below(2), "-0", 1 + Below(3));
  }
  std::string Price() {
    static const std::vector<std::string> prices = {
        "0", "0.50", "-3.25", "12.5", "12.50", "100", "99999999999999.999999", "0.1"};
    if (Chance(20)) return absl::StrCat(Below(100) - 50, ".", 100 + Below(900));
    return Of(prices);
  }
  absl::Time Time() {
    // Every half hour around the changes of clocks in spring and autumn, too.
    if (Chance(30)) {
      const absl::Time change = absl::FromUnixSeconds(Of<int64_t>({1'772'953'200, 1'774'746'000, 1'792'890'000}));
      return change + absl::Minutes(30) * (Below(100) - 50);
    }
    return absl::FromUnixSeconds(1'767'225'600) + absl::Hours(11) * Below(8) + absl::Microseconds(Below(2));
  }

  Thing NewThing() {
    Thing t;
    t.set_name(Word());
    t.set_code(Word());
    t.set_secret(Word());
    t.set_active(Chance(50));
    t.set_count(Below(5) - 2);
    t.set_size(Below(3));
    t.set_big(Chance(20) ? 9'007'199'254'740'993 : Below(3) - 1);
    t.set_ratio(Below(17) * 0.125 - 1);
    if (Chance(50)) t.set_blob(std::string("\0\x80z", 3));
    t.set_kind(Kind());
    if (Chance(70)) t.set_due_date(Date());
    if (Chance(70)) t.set_price(Price());
    if (Chance(70)) {
      t.mutable_cost()->set_amount(Price());
      t.mutable_cost()->set_currency_code(Chance(50) ? "EUR" : "USD");
    }
    if (Chance(50)) t.set_parent_id(Id("thing"));
    if (Chance(50)) t.set_link_id(Id(Chance(50) ? "deal" : "contact"));
    while (Chance(40)) t.add_watcher_ids(Id("user"));
    while (Chance(50)) t.add_tags(Word());
    while (Chance(40)) t.add_numbers(Below(4));
    while (Chance(40)) t.add_kinds(Kind());
    if (Chance(60)) *t.mutable_seen_time() = ToTimestamp(Time());
    while (Chance(50)) {
      auto* part = t.add_parts();
      part->set_name(Word());
      part->set_count(Below(4));
      part->set_spare(Chance(50));
      part->set_kind(Kind());
      part->set_serial(Word());
      while (Chance(40)) part->add_colors(Word());
    }
    if (Chance(60)) {
      auto* place = t.mutable_place();
      place->set_city(Word());
      place->set_floor(Below(4) - 1);
      place->set_guarded(Chance(50));
      place->set_kind(Kind());
      if (Chance(50)) place->set_since(Date());
    }
    while (Chance(50)) (*t.mutable_labels())[Of<std::string>({"a", "b", "size"})] = Word();
    if (Chance(60)) {
      auto& fields = *t.mutable_extra()->mutable_fields();
      if (Chance(60)) fields["size"].set_string_value(Word());
      if (Chance(60)) fields["weight"].set_number_value(Below(9) * 0.125);
      if (Chance(60)) fields["open"].set_bool_value(Chance(50));
    }
    if (Chance(60)) t.set_nickname(Word());
    if (Chance(60)) t.set_rank(Below(3));
    if (Chance(50)) t.set_shop(Word());
    if (Chance(50)) t.set_shelf(Below(3));
    t.set_status(Word());
    if (Chance(60)) t.set_owner_id(Id("user"));
    if (Chance(60)) t.set_team_id(Id("team"));
    return t;
  }

 private:
  std::mt19937 engine_;
};

// The seed of random tests: CRM_TEST_SEED repeats a run.
inline uint32_t Seed() {
  const char* given = std::getenv("CRM_TEST_SEED");
  return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device()();
}

}  // namespace crm::table_tests
