#include "common/base/decimal.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"

namespace crm {
namespace decimals {

using boost::multiprecision::cpp_int;

constexpr size_t kShownMax = 60;  // of a bad amount, in an error's text

cpp_int PowerOf10(int exponent) { return boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(exponent)); }

// units * 10^-from, as a whole number of 10^-to; to >= from.
cpp_int Scaled(const Decimal& decimal, int to) {
  return to == decimal.scale() ? decimal.units() : decimal.units() * PowerOf10(to - decimal.scale());
}

// numerator / denominator as a whole number; denominator > 0.
cpp_int DivideRounded(const cpp_int& numerator, const cpp_int& denominator, Rounding rounding) {
  cpp_int quotient, rest;
  boost::multiprecision::divide_qr(numerator, denominator, quotient, rest);  // towards zero
  if (rest.is_zero()) return quotient;
  const int away = numerator.sign();
  const cpp_int twice = boost::multiprecision::abs(rest) * 2;
  bool up = false;
  switch (rounding) {
    case Rounding::kHalfEven:
      up = twice > denominator || (twice == denominator && boost::multiprecision::bit_test(abs(quotient), 0));
      break;
    case Rounding::kHalfUp:
      up = twice >= denominator;
      break;
    case Rounding::kDown:
      break;
    case Rounding::kUp:
      up = true;
      break;
  }
  return up ? cpp_int(quotient + away) : quotient;
}

// ISO 4217's active codes (list one, 2026), without the codes for testing, metals and funds.
constexpr absl::string_view kCurrencies =
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP "
    "CNY "
    "COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR "
    "ILS "
    "INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT "
    "MOP "
    "MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD "
    "SCR "
    "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UYW UZS VED "
    "VES "
    "VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ANG CLF";
constexpr absl::string_view kNoMinor = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
constexpr absl::string_view kThreeDigits = "BHD IQD JOD KWD LYD OMR TND";
constexpr absl::string_view kFourDigits = "CLF UYW";

// Whether a list of three-letter codes has this one.
bool Has(absl::string_view list, absl::string_view code) {
  if (code.size() != 3) return false;
  for (size_t at = 0; at < list.size(); at += 4) {
    if (list.substr(at, 3) == code) return true;
  }
  return false;
}

bool IsNothing(const type::v1::Money& money) { return money.amount().empty() && money.currency_code().empty(); }

absl::Status CurrenciesDiffer(const type::v1::Money& a, const type::v1::Money& b) {
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
               absl::StrCat("Amounts in ", a.currency_code(), " and ", b.currency_code(),
                            " cannot be put together: use one currency."),
               {{"currency_code", a.currency_code()}, {"other_currency_code", b.currency_code()}});
}

absl::StatusOr<type::v1::Money> Together(const type::v1::Money& a, const type::v1::Money& b, bool subtract) {
  if (IsNothing(a) && IsNothing(b)) return type::v1::Money();
  const std::string& currency = IsNothing(a) ? b.currency_code() : a.currency_code();
  Decimal left, right;
  if (!IsNothing(a)) {
    CRM_TRY(left, AmountOf(a));
  }
  if (!IsNothing(b)) {
    CRM_TRY(right, AmountOf(b));
    if (b.currency_code() != currency) return CurrenciesDiffer(a, b);
  }
  return MakeMoney(subtract ? left - right : left + right, currency);
}

}  // namespace decimals

using boost::multiprecision::cpp_int;

Decimal::Decimal(cpp_int units, int scale) : units_(std::move(units)), scale_(scale) {}

absl::StatusOr<Decimal> Decimal::Parse(absl::string_view text) {
  absl::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (negative) rest.remove_prefix(1);
  const size_t point = std::min(rest.find('.'), rest.size());
  const absl::string_view whole = rest.substr(0, point);
  const bool has_fraction = point < rest.size();
  const absl::string_view fraction = has_fraction ? rest.substr(point + 1) : absl::string_view();
  const auto digits = [](absl::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  const bool too_long = whole.size() > kWholeDigitsMax || fraction.size() > kFractionDigitsMax;
  if (too_long || !digits(whole) || (has_fraction && !digits(fraction))) {
    const std::string shown = absl::CHexEscape(text.substr(0, decimals::kShownMax));
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
                 absl::StrCat("\"", shown, "\" is not a decimal number: write it like \"-1234.50\", with at most ",
                              kWholeDigitsMax, " digits before the point and ", kFractionDigitsMax, " after it."),
                 {{"value", shown}});
  }
  cpp_int units = 0;
  for (absl::string_view part : {whole, fraction}) {
    for (char c : part) units = units * 10 + (c - '0');
  }
  return Decimal(negative ? cpp_int(-units) : units, static_cast<int>(fraction.size()));
}

std::string Decimal::ToString() const {
  std::string digits = cpp_int(boost::multiprecision::abs(units_)).str();
  if (scale_ > 0) {
    const size_t scale = static_cast<size_t>(scale_);
    if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
    digits.insert(digits.size() - scale, ".");
  }
  return units_.sign() < 0 ? "-" + digits : digits;
}

Decimal Decimal::Rounded(int scale, Rounding rounding) const {
  if (scale >= scale_) return Decimal(decimals::Scaled(*this, scale), scale);
  return Decimal(decimals::DivideRounded(units_, decimals::PowerOf10(scale_ - scale), rounding), scale);
}

Decimal Decimal::Shortened(int min_scale) const {
  if (scale_ <= min_scale) return Rounded(min_scale);
  Decimal shortened = *this;
  while (shortened.scale_ > min_scale) {
    cpp_int quotient, rest;
    boost::multiprecision::divide_qr(shortened.units_, cpp_int(10), quotient, rest);
    if (!rest.is_zero()) break;
    shortened.units_ = quotient;
    --shortened.scale_;
  }
  return shortened;
}

Decimal Decimal::operator-() const { return Decimal(cpp_int(-units_), scale_); }

Decimal operator+(const Decimal& a, const Decimal& b) {
  const int scale = std::max(a.scale(), b.scale());
  return Decimal(cpp_int(decimals::Scaled(a, scale) + decimals::Scaled(b, scale)), scale);
}

Decimal operator-(const Decimal& a, const Decimal& b) { return a + -b; }

Decimal operator*(const Decimal& a, const Decimal& b) {
  return Decimal(cpp_int(a.units() * b.units()), a.scale() + b.scale());
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  const int scale = std::max(a.scale(), b.scale());
  return decimals::Scaled(a, scale).compare(decimals::Scaled(b, scale)) <=> 0;
}

absl::StatusOr<Decimal> Divide(const Decimal& a, const Decimal& b, int scale, Rounding rounding) {
  if (b.IsZero()) {
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID, "A division by zero.");
  }
  // a / b = (ua * 10^sb) / (ub * 10^sa); the quotient's digits are bought by 10^scale.
  cpp_int numerator = a.units() * decimals::PowerOf10(b.scale() + scale);
  cpp_int denominator = b.units() * decimals::PowerOf10(a.scale());
  if (denominator.sign() < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  return Decimal(decimals::DivideRounded(numerator, denominator, rounding), scale);
}

bool IsCurrency(absl::string_view code) { return decimals::Has(decimals::kCurrencies, code); }

int MinorDigits(absl::string_view currency_code) {
  if (decimals::Has(decimals::kNoMinor, currency_code)) return 0;
  if (decimals::Has(decimals::kThreeDigits, currency_code)) return 3;
  if (decimals::Has(decimals::kFourDigits, currency_code)) return 4;
  return 2;
}

absl::StatusOr<Decimal> AmountOf(const type::v1::Money& money, absl::string_view field) {
  auto amount = Decimal::Parse(money.amount());
  if (!amount.ok()) return FieldError(absl::StrCat(field, ".amount"), std::string(amount.status().message()));
  const cpp_int limit = decimals::PowerOf10(kMoneyWholeDigitsMax + amount->scale());
  if (amount->scale() > kMoneyFractionDigitsMax || boost::multiprecision::abs(amount->units()) >= limit) {
    return FieldError(absl::StrCat(field, ".amount"),
                      absl::StrCat("\"", money.amount(), "\" is too long: at most ", kMoneyWholeDigitsMax,
                                   " digits before the point and ", kMoneyFractionDigitsMax, " after it fit."));
  }
  if (!IsCurrency(money.currency_code())) {
    return FieldError(absl::StrCat(field, ".currency_code"),
                      absl::StrCat("\"", absl::CHexEscape(absl::string_view(money.currency_code()).substr(0, 10)),
                                   "\" is not a currency: give an ISO 4217 code such as \"EUR\"."));
  }
  return amount;
}

absl::StatusOr<type::v1::Money> MakeMoney(const Decimal& amount, absl::string_view currency_code) {
  const Decimal rounded = amount.scale() > kMoneyFractionDigitsMax ? amount.Rounded(kMoneyFractionDigitsMax) : amount;
  type::v1::Money money;
  money.set_amount(rounded.Shortened(MinorDigits(currency_code)).ToString());
  money.set_currency_code(std::string(currency_code));
  CRM_TRY(AmountOf(money).status());
  return money;
}

absl::StatusOr<type::v1::Money> Add(const type::v1::Money& a, const type::v1::Money& b) {
  return decimals::Together(a, b, false);
}

absl::StatusOr<type::v1::Money> Subtract(const type::v1::Money& a, const type::v1::Money& b) {
  return decimals::Together(a, b, true);
}

absl::StatusOr<std::strong_ordering> Compare(const type::v1::Money& a, const type::v1::Money& b) {
  CRM_TRY(const Decimal left, AmountOf(a));
  CRM_TRY(const Decimal right, AmountOf(b));
  if (a.currency_code() != b.currency_code()) return decimals::CurrenciesDiffer(a, b);
  return left <=> right;
}

absl::StatusOr<type::v1::Money> Multiply(const type::v1::Money& money, const Decimal& by) {
  CRM_TRY(const Decimal amount, AmountOf(money));
  return MakeMoney(amount * by, money.currency_code());
}

absl::StatusOr<type::v1::Money> Discount(const type::v1::Money& money, const Decimal& percent) {
  if (percent < Decimal(0) || percent > Decimal(100)) {
    return FieldError("discount", absl::StrCat(percent.ToString(), " percent is no discount: give 0 to 100."));
  }
  CRM_TRY(const Decimal amount, AmountOf(money));
  return MakeMoney(amount * (Decimal(100) - percent) * Decimal(cpp_int(1), 2), money.currency_code());
}

absl::StatusOr<type::v1::Money> Round(const type::v1::Money& money, Rounding rounding) {
  CRM_TRY(const Decimal amount, AmountOf(money));
  return MakeMoney(amount.Rounded(MinorDigits(money.currency_code()), rounding), money.currency_code());
}

}  // namespace crm
