#include "common/base/decimal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/base/error.h"
#include "tests/unit/common/base/seed.h"

namespace crm {
namespace {

using boost::multiprecision::cpp_int;
using boost::multiprecision::cpp_rational;
using ::testing::HasSubstr;

Decimal D(absl::string_view text) { return Decimal::Parse(text).value(); }

type::v1::Money M(absl::string_view amount, absl::string_view currency) {
  type::v1::Money money;
  money.set_amount(std::string(amount));
  money.set_currency_code(std::string(currency));
  return money;
}

TEST(DecimalTest, ReadsAndWritesAllDigits) {
  for (const char* text : {"0", "1", "-1", "1234.50", "-0.001", "0.00", "999999999999999.999999",
                           "0.000000000000000001", "1234567890123456789012345678901234567890.12345678901234567890"}) {
    EXPECT_EQ(D(text).ToString(), text);
  }
  EXPECT_EQ(D("-0").ToString(), "0");
  EXPECT_EQ(D("-0.00").ToString(), "0.00");
  EXPECT_EQ(D("007.10").ToString(), "7.10");
}

TEST(DecimalTest, RefusesWhatIsNoDecimal) {
  for (const char* text : {"", "-", ".", "1.", ".5", "+1", " 1", "1 ", "1,5", "1e5", "0x1", "--1", "1.2.3", "NaN",
                           "inf", "１", "12345678901234567890123456789012345678901", "0.123456789012345678901"}) {
    auto parsed = Decimal::Parse(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(ReasonOf(parsed.status()), type::v1::ERROR_REASON_FIELD_INVALID) << text;
  }
  EXPECT_FALSE(Decimal::Parse(absl::string_view("1\0", 2)).ok());
  EXPECT_LT(Decimal::Parse(std::string(10'000'000, '9')).status().message().size(), 300u);
}

TEST(DecimalTest, ComparesByValue) {
  EXPECT_EQ(D("1.50"), D("1.5"));
  EXPECT_LT(D("-2"), D("-1.999"));
  EXPECT_GT(D("0.1"), D("0.09999999999999999999"));
  EXPECT_EQ(D("0"), D("-0.000"));
}

TEST(DecimalTest, RoundsAsTheModeSays) {
  struct Case {
    const char* value;
    const char *half_even, *half_up, *down, *up;
  };
  for (const auto& c :
       {Case{"0.125", "0.12", "0.13", "0.12", "0.13"}, Case{"0.135", "0.14", "0.14", "0.13", "0.14"},
        Case{"-0.125", "-0.12", "-0.13", "-0.12", "-0.13"}, Case{"0.1250001", "0.13", "0.13", "0.12", "0.13"},
        Case{"0.1249999", "0.12", "0.12", "0.12", "0.13"}, Case{"0.004", "0.00", "0.00", "0.00", "0.01"},
        Case{"-0.005", "0.00", "-0.01", "0.00", "-0.01"}, Case{"9.995", "10.00", "10.00", "9.99", "10.00"},
        Case{"5", "5.00", "5.00", "5.00", "5.00"}}) {
    SCOPED_TRACE(c.value);
    EXPECT_EQ(D(c.value).Rounded(2, Rounding::kHalfEven).ToString(), c.half_even);
    EXPECT_EQ(D(c.value).Rounded(2, Rounding::kHalfUp).ToString(), c.half_up);
    EXPECT_EQ(D(c.value).Rounded(2, Rounding::kDown).ToString(), c.down);
    EXPECT_EQ(D(c.value).Rounded(2, Rounding::kUp).ToString(), c.up);
  }
  EXPECT_EQ(D("1.5000").Shortened(2).ToString(), "1.50");
  EXPECT_EQ(D("100").Shortened().ToString(), "100");
  EXPECT_EQ(D("0.000").Shortened().ToString(), "0");
}

TEST(DecimalTest, DividesWithRounding) {
  EXPECT_EQ(Divide(D("1"), D("3"), 4)->ToString(), "0.3333");
  EXPECT_EQ(Divide(D("-2"), D("3"), 4)->ToString(), "-0.6667");
  EXPECT_EQ(Divide(D("1"), D("-8"), 2)->ToString(), "-0.12");
  EXPECT_EQ(Divide(D("1"), D("-8"), 2, Rounding::kHalfUp)->ToString(), "-0.13");
  EXPECT_EQ(Divide(D("0.001"), D("0.1"), 3)->ToString(), "0.010");
  EXPECT_EQ(Divide(D("1"), D("0.00"), 2).status().code(), absl::StatusCode::kInvalidArgument);
}

cpp_rational Exact(const Decimal& decimal) {
  return cpp_rational(decimal.units(), boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(decimal.scale())));
}

// Against exact rationals: nothing is lost in sums and products, and rounding is off by at most half a unit, to the
// right side.
TEST(DecimalPropertyTest, AgreesWithExactRationals) {
  auto random = SeededRandom();
  std::uniform_int_distribution<int> digit(0, 9), whole_digits(1, 18), fraction_digits(0, 6), coin(0, 1), scales(0, 8);
  const auto any = [&] {
    std::string text = coin(random) ? "-" : "";
    for (int i = whole_digits(random); i > 0; --i) text += static_cast<char>('0' + digit(random));
    if (int n = fraction_digits(random); n > 0) {
      text += '.';
      // Ties are rare among random digits: make them common.
      for (; n > 0; --n) text += coin(random) ? "05"[coin(random)] : static_cast<char>('0' + digit(random));
    }
    return D(text);
  };
  for (int i = 0; i < 5'000; ++i) {
    const Decimal a = any(), b = any();
    SCOPED_TRACE(a.ToString() + " and " + b.ToString());
    const cpp_rational x = Exact(a), y = Exact(b);
    ASSERT_EQ(Exact(a + b), x + y);
    ASSERT_EQ(Exact(a - b), x - y);
    ASSERT_EQ(Exact(a * b), x * y);
    ASSERT_EQ(a < b, x < y);
    ASSERT_EQ(a == b, x == y);
    ASSERT_EQ(D(a.ToString()), a);
    ASSERT_EQ(a.Shortened(), a);

    const int scale = scales(random);
    const cpp_rational unit(cpp_int(1), boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(scale)));
    const auto check = [&](const cpp_rational& exact, const Decimal& rounded, Rounding mode) {
      ASSERT_EQ(rounded.scale(), scale);
      const cpp_rational off = Exact(rounded) - exact;
      const bool away = abs(Exact(rounded)) > abs(exact);
      switch (mode) {
        case Rounding::kHalfEven:
          ASSERT_LE(abs(off) * 2, unit);
          if (abs(off) * 2 == unit) {
            ASSERT_FALSE(bit_test(cpp_int(abs(rounded.units())), 0));
          }
          break;
        case Rounding::kHalfUp:
          ASSERT_LE(abs(off) * 2, unit);
          if (abs(off) * 2 == unit) {
            ASSERT_TRUE(away);
          }
          break;
        case Rounding::kDown:
          ASSERT_LT(abs(off), unit);
          ASSERT_FALSE(away);
          break;
        case Rounding::kUp:
          ASSERT_LT(abs(off), unit);
          ASSERT_TRUE(away || off == 0);
          break;
      }
    };
    for (Rounding mode : {Rounding::kHalfEven, Rounding::kHalfUp, Rounding::kDown, Rounding::kUp}) {
      check(x, a.Rounded(scale, mode), mode);
      if (!b.IsZero()) check(x / y, *Divide(a, b, scale, mode), mode);
    }
  }
}

TEST(MoneyTest, KnowsIso4217) {
  EXPECT_EQ(MinorDigits("EUR"), 2);
  EXPECT_EQ(MinorDigits("JPY"), 0);
  EXPECT_EQ(MinorDigits("KWD"), 3);
  EXPECT_EQ(MinorDigits("CLF"), 4);
  EXPECT_TRUE(IsCurrency("ILS"));
  for (const char* code : {"", "eur", "EURO", "XXX", "EU", " EU", "R C", "ABC"}) EXPECT_FALSE(IsCurrency(code)) << code;
}

TEST(MoneyTest, AddsOneCurrencyOnly) {
  EXPECT_EQ(Add(M("0.10", "EUR"), M("0.20", "EUR"))->amount(), "0.30");
  EXPECT_EQ(Add(M("12", "EUR"), M("0.005", "EUR"))->amount(), "12.005");
  EXPECT_EQ(Subtract(M("1", "JPY"), M("3", "JPY"))->amount(), "-2");
  EXPECT_EQ(Add(M("5", "EUR"), {})->amount(), "5.00");
  EXPECT_EQ(Subtract({}, M("5", "EUR"))->amount(), "-5.00");
  EXPECT_EQ(Add({}, {})->currency_code(), "");
  auto mixed = Add(M("1", "EUR"), M("1", "USD"));
  EXPECT_EQ(mixed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(mixed.status().message()), HasSubstr("EUR and USD"));
  EXPECT_FALSE(Compare(M("1", "EUR"), M("1", "USD")).ok());
  EXPECT_EQ(*Compare(M("1.0", "EUR"), M("1", "EUR")), std::strong_ordering::equal);
  EXPECT_EQ(*Compare(M("-1", "EUR"), M("1", "EUR")), std::strong_ordering::less);
}

TEST(MoneyTest, RefusesWhatItsFieldsRefuse) {
  for (const auto& [amount, currency, field] :
       {std::tuple("1,5", "EUR", "price.amount"), std::tuple("1000000000000000", "EUR", "price.amount"),
        std::tuple("0.1234567", "EUR", "price.amount"), std::tuple("", "EUR", "price.amount"),
        std::tuple("1", "", "price.currency_code"), std::tuple("1", "EURO", "price.currency_code")}) {
    auto read = AmountOf(M(amount, currency), "price");
    ASSERT_FALSE(read.ok()) << amount << currency;
    EXPECT_EQ(ViolationsOf(read.status()).at(0).field, field);
  }
  EXPECT_TRUE(AmountOf(M("999999999999999.999999", "EUR")).ok());
  EXPECT_FALSE(Add(M("999999999999999", "EUR"), M("1", "EUR")).ok());
}

TEST(MoneyTest, QuantityDiscountAndRounding) {
  // 12 x 9.65 less 15 percent: four digits until it is rounded.
  auto line = Discount(*Multiply(M("9.65", "EUR"), D("12")), D("15"));
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->amount(), "98.43");
  EXPECT_EQ(Discount(M("7.77", "EUR"), D("5"))->amount(), "7.3815");
  EXPECT_EQ(Round(*Discount(M("7.77", "EUR"), D("5")))->amount(), "7.38");
  EXPECT_EQ(Round(M("0.125", "EUR"))->amount(), "0.12");
  EXPECT_EQ(Round(M("0.125", "EUR"), Rounding::kHalfUp)->amount(), "0.13");
  EXPECT_EQ(Round(M("150.5", "JPY"), Rounding::kHalfUp)->amount(), "151");
  EXPECT_EQ(Round(M("1.0005", "KWD"))->amount(), "1.000");
  EXPECT_EQ(Multiply(M("0.333333", "EUR"), D("0.333333"))->amount(), "0.111111");
  EXPECT_EQ(Discount(M("5", "EUR"), D("100"))->amount(), "0.00");
  EXPECT_FALSE(Discount(M("5", "EUR"), D("100.01")).ok());
  EXPECT_FALSE(Discount(M("5", "EUR"), D("-1")).ok());
}

}  // namespace
}  // namespace crm
