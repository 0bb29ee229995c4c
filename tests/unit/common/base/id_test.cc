#include "common/base/id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/base/error.h"

namespace crm {
namespace {

using ::testing::HasSubstr;

struct ValidVector {
  const char* name;
  const char* typeid_text;
  const char* prefix;
  const char* uuid;
};
// spec/valid.json of the TypeID specification, version 0.3.
const ValidVector kValid[] = {
    {"nil", "00000000000000000000000000", "", "00000000-0000-0000-0000-000000000000"},
    {"one", "00000000000000000000000001", "", "00000000-0000-0000-0000-000000000001"},
    {"ten", "0000000000000000000000000a", "", "00000000-0000-0000-0000-00000000000a"},
    {"sixteen", "0000000000000000000000000g", "", "00000000-0000-0000-0000-000000000010"},
    {"thirty-two", "00000000000000000000000010", "", "00000000-0000-0000-0000-000000000020"},
    {"max-valid", "7zzzzzzzzzzzzzzzzzzzzzzzzz", "", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
    {"valid-alphabet", "prefix_0123456789abcdefghjkmnpqrs", "prefix", "0110c853-1d09-52d8-d73e-1194e95b5f19"},
    {"valid-uuidv7", "prefix_01h455vb4pex5vsknk084sn02q", "prefix", "01890a5d-ac96-774b-bcce-b302099a8057"},
    {"prefix-underscore", "pre_fix_00000000000000000000000000", "pre_fix", "00000000-0000-0000-0000-000000000000"},
    {"prefix-63", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_00000000000000000000000000",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "00000000-0000-0000-0000-000000000000"},
};

struct InvalidVector {
  const char* name;
  const char* typeid_text;
};
// spec/invalid.json, and a few more.
const InvalidVector kInvalid[] = {
    {"prefix-uppercase", "PREFIX_00000000000000000000000000"},
    {"prefix-numeric", "12345_00000000000000000000000000"},
    {"prefix-period", "pre.fix_00000000000000000000000000"},
    {"prefix-non-ascii", "préfix_00000000000000000000000000"},
    {"prefix-spaces", "  prefix_00000000000000000000000000"},
    {"prefix-64-chars", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl_00000000000000000000000000"},
    {"separator-empty-prefix", "_00000000000000000000000000"},
    {"separator-empty", "_"},
    {"suffix-short", "prefix_1234567890123456789012345"},
    {"suffix-long", "prefix_123456789012345678901234567"},
    {"suffix-spaces", "prefix_1234567890123456789012345 "},
    {"suffix-uppercase", "prefix_0123456789ABCDEFGHJKMNPQRS"},
    {"suffix-hyphens", "prefix_123456789-123456789-123456"},
    {"suffix-wrong-alphabet", "prefix_ooooooiiiiiiuuuuuuulllllll"},
    {"suffix-ambiguous-crockford", "prefix_i23456789ol23456789oi23456"},
    {"suffix-hyphens-crockford", "prefix_123456789-0123456789-0123456"},
    {"suffix-overflow", "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz"},
    {"prefix-underscore-start", "_prefix_00000000000000000000000000"},
    {"prefix-underscore-end", "prefix__00000000000000000000000000"},
    {"empty", ""},
    {"prefix-alone", "prefix_"},
    {"uuid", "01890a5d-ac96-774b-bcce-b302099a8057"},
    {"digit-in-prefix", "pre1fix_00000000000000000000000000"},
    {"overflow-without-prefix", "80000000000000000000000000"},
};

TEST(TypeIdTest, SpecificationsValidVectors) {
  for (const auto& vector : kValid) {
    SCOPED_TRACE(vector.name);
    auto parsed = ParseId(vector.typeid_text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->prefix, vector.prefix);
    EXPECT_EQ(parsed->uuid.ToString(), vector.uuid);
    auto uuid = Uuid::Parse(vector.uuid);
    ASSERT_TRUE(uuid.ok());
    EXPECT_EQ(TypeId(vector.prefix, *uuid), vector.typeid_text);
  }
}

TEST(TypeIdTest, SpecificationsInvalidVectors) {
  for (const auto& vector : kInvalid) {
    SCOPED_TRACE(vector.name);
    auto parsed = ParseId(vector.typeid_text);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(parsed.status()), type::v1::ERROR_REASON_FIELD_INVALID);
  }
}

TEST(TypeIdTest, NulAndBadUtf8AreEscapedInTheText) {
  auto parsed = ParseId(std::string("contact_\0\xff 000000000000000000000000", 34));
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("\\x00\\xff"));
  auto huge = ParseId(std::string(1 << 20, 'x'));
  ASSERT_FALSE(huge.ok());
  EXPECT_LT(huge.status().message().size(), 500u);
}

TEST(TypeIdTest, AReferenceOfTheWrongTypeNamesFieldAndWantedType) {
  const std::string deal = NewId("deal", absl::Now());
  auto uuid = ParseId(deal, "contact", "deal.contact_id");
  ASSERT_FALSE(uuid.ok());
  EXPECT_EQ(ReasonOf(uuid.status()), type::v1::ERROR_REASON_REFERENCE_INVALID);
  ASSERT_EQ(ViolationsOf(uuid.status()).size(), 1u);
  EXPECT_EQ(ViolationsOf(uuid.status())[0].field, "deal.contact_id");
  EXPECT_THAT(ViolationsOf(uuid.status())[0].description, HasSubstr("contact_"));

  auto broken = ParseId("contact_", "contact", "contact_id");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(ViolationsOf(broken.status())[0].field, "contact_id");

  auto good = ParseId(deal, "deal", "deal_id");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(TypeId("deal", *good), deal);
}

TEST(UuidTest, ParsesEitherCaseAndNothingElse) {
  EXPECT_EQ(Uuid::Parse("01890A5D-AC96-774B-BCCE-B302099A8057")->ToString(), "01890a5d-ac96-774b-bcce-b302099a8057");
  for (const char* bad : {"", "01890a5dac96774bbcceb302099a8057", "01890a5d-ac96-774b-bcce-b302099a805",
                          "01890a5d-ac96-774b-bcce-b302099a805g", "01890a5d_ac96-774b-bcce-b302099a8057",
                          "{1890a5d-ac96-774b-bcce-b302099a8057}"}) {
    EXPECT_FALSE(Uuid::Parse(bad).ok()) << bad;
  }
}

TEST(UuidTest, NewOnesAreVersion7CarryTheTimeAndAreOrdered) {
  const absl::Time now = absl::FromUnixMillis(1'700'000'000'123);
  Uuid before = NewUuid(now);
  EXPECT_EQ(before.bytes[6] >> 4, 7);
  EXPECT_EQ(before.bytes[8] >> 6, 2);
  int64_t ms = 0;
  for (int i = 0; i < 6; ++i) ms = ms << 8 | before.bytes[i];
  EXPECT_EQ(ms, 1'700'000'000'123);
  std::set<Uuid> seen{before};
  std::set<uint8_t> buckets;
  for (int i = 0; i < 10'000; ++i) {  // all with one time, as a batch stamps them
    Uuid next = NewUuid(now);
    ASSERT_LT(before, next);
    ASSERT_TRUE(seen.insert(next).second);
    buckets.insert(next.bucket());
    before = next;
  }
  EXPECT_EQ(buckets.size(), 256u);
}

TEST(UuidTest, AnOlderTimeStaysOlder) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Uuid late = NewUuid(now);
  EXPECT_LT(NewUuid(now - absl::Hours(1)), late);
  EXPECT_LT(NewUuid(now - absl::Hours(100'000'000)), late);  // before 1970
  EXPECT_GT(NewUuid(absl::FromUnixSeconds(200'000'000'000)), late);
}

TEST(UuidTest, DerivedOnesRepeatAndDiffer) {
  const Uuid source = *Uuid::Parse("01890a5d-ac96-774b-bcce-b302099a8057");
  const Uuid derived = DerivedUuid(source, "accept");
  EXPECT_EQ(derived, DerivedUuid(source, "accept"));
  EXPECT_NE(derived, DerivedUuid(source, "accept2"));
  EXPECT_NE(derived, DerivedUuid(Uuid{}, "accept"));
  EXPECT_EQ(derived.bytes[6] >> 4, 8);
  EXPECT_EQ(derived.bytes[8] >> 6, 2);
  // Stored ids depend on it: python3 -c 'import hashlib;
  // print(hashlib.sha256(bytes.fromhex("01890a5dac96774bbcceb302099a8057")+b"accept").hexdigest())'
  EXPECT_EQ(derived.ToString(), "f6f9ca21-bcf6-80d6-a5dc-a93b43e0692b");
  EXPECT_EQ(DerivedId("contact", "lead_01h455vb4pex5vsknk084sn02q", "accept"),
            DerivedId("contact", "lead_01h455vb4pex5vsknk084sn02q", "accept"));
  EXPECT_NE(DerivedId("contact", "lead_01h455vb4pex5vsknk084sn02q", "accept"),
            DerivedId("contact", "deal_01h455vb4pex5vsknk084sn02q", "accept"));
  EXPECT_TRUE(ParseId(DerivedId("contact", "x", "y"), "contact", "id").ok());

  // Of a time: the same but for its milliseconds, and in order with new ones.
  const absl::Time at = absl::FromUnixMillis(0x01890a5dac96);
  const Uuid timed = DerivedUuid(source, "accept", at);
  EXPECT_EQ(timed.ToString(), "01890a5d-ac96-80d6-a5dc-a93b43e0692b");
  EXPECT_GT(timed, NewUuid(at - absl::Milliseconds(1)));
  EXPECT_LT(timed, DerivedUuid(source, "another", at + absl::Milliseconds(1)));
  EXPECT_EQ(DerivedUuid(source, "accept", absl::InfinitePast()).bytes[0], 0);
  EXPECT_EQ(DerivedId("contact", "x", "y", at), DerivedId("contact", "x", "y", at));
  EXPECT_NE(DerivedId("contact", "x", "y", at), DerivedId("contact", "x", "z", at));
}

}  // namespace
}  // namespace crm
