#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "common/json/json.h"
#include "common/pg/row_wire.h"
#include "crm/testing/v1/thing.pb.h"

namespace crm::pg::record {
namespace {

using crm::testing::v1::Thing;
using google::protobuf::util::MessageDifferencer;

const google::protobuf::FieldDescriptor* FieldOf(const char* name) {
  return Thing::descriptor()->FindFieldByName(name);
}

// What the short way makes of the text; nothing if it leaves it to the general reader.
std::optional<Thing> Short(const char* field, absl::string_view json) {
  const auto* wire = JsonWire::Of(FieldOf(field));
  std::string bytes = "before";
  if (wire == nullptr || !wire->Append(json, bytes)) {
    EXPECT_EQ(bytes, "before") << json;
    return std::nullopt;
  }
  Thing thing;
  EXPECT_TRUE(thing.ParseFromString(bytes.substr(6))) << json;
  return thing;
}

TEST(TableWire, TypesWithJsonOfTheirOwnAreLeftToTheGeneralReader) {
  EXPECT_NE(JsonWire::Of(FieldOf("parts")), nullptr);
  EXPECT_NE(JsonWire::Of(FieldOf("place")), nullptr);
  EXPECT_NE(JsonWire::Of(FieldOf("labels")), nullptr);
  EXPECT_EQ(JsonWire::Of(FieldOf("extra")), nullptr);
  EXPECT_EQ(JsonWire::Of(FieldOf("seen_time")), nullptr);
  EXPECT_EQ(JsonWire::Of(FieldOf("blob")), nullptr);
}

TEST(TableWire, ReadsWhatJsonbPrints) {
  auto thing =
      Short("parts",
            R"([{"kind": "KIND_ODD", "name": "a\"\\\n\u0001é", "count": -5, "spare": true, "colors": ["x", ""]}, {}])");
  ASSERT_TRUE(thing);
  ASSERT_EQ(thing->parts_size(), 2);
  EXPECT_EQ(thing->parts(0).name(), "a\"\\\n\x01é");
  EXPECT_EQ(thing->parts(0).count(), -5);
  EXPECT_TRUE(thing->parts(0).spare());
  EXPECT_EQ(thing->parts(0).kind(), crm::testing::v1::KIND_ODD);
  EXPECT_EQ(thing->parts(0).colors_size(), 2);
  auto labels = Short("labels", R"({"a": "1", "": "two"})");
  ASSERT_TRUE(labels);
  EXPECT_EQ(labels->labels().at(""), "two");
  // Lengths that need two bytes, one level inside the other.
  const std::string name(200, 'n');
  auto place = Short("place", "{\"city\": \"" + name + "\"}");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->place().city(), name);
}

TEST(TableWire, LeavesWhatItDoesNotKnow) {
  for (const char* json : {R"([{"gone": 1}])", R"([{"kind": "KIND_GONE"}])", R"([{"kind": 2}])", R"([{"count": 1.5}])",
                           R"([{"count": "5"}])", R"([{"count": 2147483648}])", R"([{"count": 1e3}])",
                           R"([{"name": 5}])", R"([{"name": "\u00e9"}])", "[", "[{]", "{}", "[]x", "",
                           R"([{"name": "x})", R"([{"spare": truth}])", R"([{"name": "\ud800"}])"}) {
    EXPECT_FALSE(Short("parts", json)) << json;
  }
  EXPECT_FALSE(Short("place", std::string(100, '{')));
}

// Whatever it accepts, the general reader reads the same.
TEST(TableWire, AgreesWithTheGeneralReader) {
  const char* given = std::getenv("CRM_TEST_SEED");
  const uint32_t seed =
      given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string base =
      R"([{"kind": "KIND_ODD", "name": "a\"b\\", "count": 12, "spare": true, "colors": ["x", "y"]}, {"kind": "KIND_SMALL", )"
      R"("name": "", "count": 0, "spare": false, "colors": [], "serial": "\u0007 \t"}])";
  const std::string alphabet = "\"\\{}[]:, 019.-etrufalsn\x01";
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string json = base;
    for (int changes = static_cast<int>(random() % 3); changes > 0; --changes) {
      const size_t at = random() % json.size();
      switch (random() % 3) {
        case 0:
          json[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          json.erase(at, 1 + random() % 4);
          break;
        default:
          json.insert(at, json.substr(random() % json.size(), random() % 8));
      }
    }
    const auto* wire = JsonWire::Of(FieldOf("parts"));
    std::string bytes;
    Thing fast, slow;
    if (!wire->Append(json, bytes) || !fast.ParseFromString(bytes)) continue;
    if (!json::ReadField(json, FieldOf("parts"), slow).ok()) continue;  // PostgreSQL does not store it
    ++accepted;
    ASSERT_TRUE(MessageDifferencer::Equals(fast, slow)) << json << "\n"
                                                        << fast.ShortDebugString() << "\n"
                                                        << slow.ShortDebugString();
  }
  EXPECT_GT(accepted, 5'000);
}

}  // namespace
}  // namespace crm::pg::record
