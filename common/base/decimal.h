// Exact decimal numbers and money. There is no double here, and none may come in.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <compare>
#include <concepts>
#include <cstdint>
#include <string>

#include "crm/type/v1/money.pb.h"

namespace crm {

enum class Rounding {
  kHalfEven,  // to the nearest, ties to the even digit: no bias over many sums; what we use unless a rule says
              // otherwise
  kHalfUp,    // to the nearest, ties away from zero: what most tax laws say
  kDown,      // towards zero
  kUp,        // away from zero
};

// A whole number of 10^-scale. Sums, differences and products are exact and cannot overflow; a scale is kept until it
// is rounded: 1.50 * 2 = 3.00. Equal values are equal whatever their scale.
class Decimal {
 public:
  static constexpr int kWholeDigitsMax = 40;     // of a text; any numeric column we have is narrower
  static constexpr int kFractionDigitsMax = 20;  // of a text

  Decimal() = default;
  template <std::integral T>
  Decimal(T whole) : units_(whole) {}  // NOLINT: whole numbers are decimals; a double does not compile
  // units * 10^-scale; scale >= 0.
  Decimal(boost::multiprecision::cpp_int units, int scale);

  // "-1234.50". No exponent, no spaces, no plus sign, digits on both sides of a point.
  static absl::StatusOr<Decimal> Parse(absl::string_view text);
  // With all digits of its scale: "1234.50", "0", "-0.001".
  std::string ToString() const;

  int scale() const { return scale_; }
  const boost::multiprecision::cpp_int& units() const { return units_; }
  int sign() const { return units_.sign(); }
  bool IsZero() const { return units_.is_zero(); }

  // With exactly `scale` digits after the point.
  Decimal Rounded(int scale, Rounding rounding = Rounding::kHalfEven) const;
  // Without zeros at the end of the fraction, but at least `min_scale` digits of it.
  Decimal Shortened(int min_scale = 0) const;

  Decimal operator-() const;
  friend Decimal operator+(const Decimal& a, const Decimal& b);
  friend Decimal operator-(const Decimal& a, const Decimal& b);
  friend Decimal operator*(const Decimal& a, const Decimal& b);
  Decimal& operator+=(const Decimal& other) { return *this = *this + other; }
  Decimal& operator-=(const Decimal& other) { return *this = *this - other; }
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
  friend bool operator==(const Decimal& a, const Decimal& b) { return (a <=> b) == 0; }

 private:
  boost::multiprecision::cpp_int units_ = 0;
  int scale_ = 0;
};

// a / b with `scale` digits. INVALID_ARGUMENT if b is zero.
absl::StatusOr<Decimal> Divide(const Decimal& a, const Decimal& b, int scale, Rounding rounding = Rounding::kHalfEven);

// ---- money (crm.type.v1.Money) ----

inline constexpr int kMoneyWholeDigitsMax = 15;    // as money.proto says
inline constexpr int kMoneyFractionDigitsMax = 6;  // enough for unit prices and line discounts

// Whether ISO 4217 knows the code.
bool IsCurrency(absl::string_view code);
// Digits of the currency's smallest unit by ISO 4217: JPY 0, EUR 2, KWD 3. 2 for unknown codes.
int MinorDigits(absl::string_view currency_code);

// Reads the amount; INVALID_ARGUMENT naming `field` when it or the currency is wrong.
absl::StatusOr<Decimal> AmountOf(const type::v1::Money& money, absl::string_view field = "amount");
// The amount with at least the currency's minor digits ("12" EUR is "12.00"), rounded half-even to 6 digits.
// INVALID_ARGUMENT if it has more than 15 digits before the point.
absl::StatusOr<type::v1::Money> MakeMoney(const Decimal& amount, absl::string_view currency_code);

// INVALID_ARGUMENT when the currencies differ. A Money without currency and amount counts as nothing: x + {} = x.
absl::StatusOr<type::v1::Money> Add(const type::v1::Money& a, const type::v1::Money& b);
absl::StatusOr<type::v1::Money> Subtract(const type::v1::Money& a, const type::v1::Money& b);
absl::StatusOr<std::strong_ordering> Compare(const type::v1::Money& a, const type::v1::Money& b);
// Not rounded to the minor unit: see Round.
absl::StatusOr<type::v1::Money> Multiply(const type::v1::Money& money, const Decimal& by);
// What is left after a discount of 0 to 100 percent, not rounded to the minor unit.
absl::StatusOr<type::v1::Money> Discount(const type::v1::Money& money, const Decimal& percent);
// To the currency's smallest unit.
absl::StatusOr<type::v1::Money> Round(const type::v1::Money& money, Rounding rounding = Rounding::kHalfEven);

}  // namespace crm
