// gRPC's protocol, piece by piece.
#include "common/rpc/wire.h"

#include <gtest/gtest.h>

#include <random>

#include "common/base/error.h"
#include "common/rpc/link.h"

namespace crm::rpc::wire {
namespace {

using namespace std::chrono_literals;

TEST(WireTest, TimeoutsAreReadAndWritten) {
  EXPECT_EQ(ParseTimeout("250m"), 250ms);
  EXPECT_EQ(ParseTimeout("1n"), 1ns);
  EXPECT_EQ(ParseTimeout("7u"), 7us);
  EXPECT_EQ(ParseTimeout("10S"), 10s);
  EXPECT_EQ(ParseTimeout("2M"), 2min);
  EXPECT_EQ(ParseTimeout("3H"), 3h);
  for (const char* bad : {"", "1", "m", "-1m", "1.5S", "1x", "123456789m", "1 m", "99999999999S"}) {
    EXPECT_FALSE(ParseTimeout(bad).has_value()) << bad;
  }
  // More than fits is as long as anybody waits, not an overflow.
  EXPECT_GT(*ParseTimeout("99999999H"), 24h * 365 * 10);

  EXPECT_EQ(TimeoutText(1ns), "1u");
  EXPECT_EQ(TimeoutText(-5s), "1u");
  EXPECT_EQ(TimeoutText(10s), "10000000u");
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1000; ++i) {
    const std::chrono::nanoseconds left(std::uniform_int_distribution<int64_t>(1, int64_t{1} << (i % 60))(random));
    const auto read = ParseTimeout(TimeoutText(left));
    ASSERT_TRUE(read.has_value()) << left.count();
    if (left < 99'999'999s) {
      EXPECT_GE(*read, left);
      EXPECT_LE(*read - left, std::max<std::chrono::nanoseconds>(1us, left / 1000)) << left.count();
    }
  }
}

TEST(WireTest, TextsOfErrorsTravelAsAscii) {
  EXPECT_EQ(PercentEncoded("plain text, 100 %\n"), "plain text, 100 %25%0A");
  EXPECT_EQ(PercentEncoded("\xd0\xb8"), "%D0%B8");
  EXPECT_EQ(PercentEncoded(" names a "), "%20names a%20");
  EXPECT_EQ(PercentDecoded("%20names a%20"), " names a ");
  EXPECT_EQ(PercentDecoded("%d0%B8 100%25"), "\xd0\xb8 100%");
  EXPECT_EQ(PercentDecoded("100%"), "100%");
  EXPECT_EQ(PercentDecoded("%zz%4"), "%zz%4");
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  for (const char c : PercentEncoded(all)) EXPECT_TRUE(c >= 0x20 && c <= 0x7e) << static_cast<int>(c);
  EXPECT_EQ(PercentDecoded(PercentEncoded(all)), all);
}

TEST(WireTest, StatusesKeepTheirDetailsAndTheirLimits) {
  absl::Status status = FieldError("contact.name", "is too long");
  const absl::Status back = FromWire(ToWire(status));
  EXPECT_EQ(back.code(), status.code());
  EXPECT_EQ(back.message(), status.message());
  ASSERT_EQ(ViolationsOf(back).size(), 1u);
  EXPECT_EQ(ViolationsOf(back)[0].field, "contact.name");
  EXPECT_TRUE(FromWire(ToWire(absl::OkStatus())).ok());

  // Cut between characters, not within one.
  std::string text;
  while (text.size() < kErrorBytesMax) text += "\xd0\xb8";
  const WireStatus cut = ToWire(absl::InvalidArgumentError("x" + text));
  EXPECT_LE(cut.text.size(), kErrorBytesMax / 4);
  EXPECT_EQ(static_cast<unsigned char>(cut.text.back()), 0xb8);
  for (int i = 0; i < 5000; ++i) AddViolation(status, {"contact.name", "is too long, once more"});
  EXPECT_LE(ToWire(status).details.size(), kErrorBytesMax + kErrorBytesMax / 4 + 200);

  // Details that are none leave the code and the text.
  EXPECT_EQ(FromWire({5, "gone", "\xff\xff"}).code(), absl::StatusCode::kNotFound);
}

TEST(WireTest, APrefixSaysTheLength) {
  for (const uint32_t size : {0u, 1u, 255u, 256u, 70'000u, 4'194'304u}) {
    char prefix[kPrefixBytes];
    PutPrefix(prefix, size);
    EXPECT_EQ(prefix[0], 0);
    EXPECT_EQ(LengthOf(prefix), size);
  }
}

TEST(WireTest, HeadersAreFoundByNameAndBounded) {
  Headers headers;
  EXPECT_EQ(headers.Find("authorization"), "");
  EXPECT_TRUE(headers.Add("authorization", "Bearer x"));
  EXPECT_TRUE(headers.Add("authorization", "Bearer y"));
  EXPECT_TRUE(headers.Add("empty", ""));
  EXPECT_EQ(headers.Find("authorization"), "Bearer x");
  EXPECT_EQ(headers.Find("empty"), "");
  EXPECT_EQ(headers.Find("author"), "");
  EXPECT_FALSE(headers.Add("large", std::string(kMetadataBytesMax, 'x')));
  EXPECT_EQ(headers.Find("large"), "");
}

}  // namespace
}  // namespace crm::rpc::wire
