#include "services/messaging/rules/format.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <unicode/calendar.h>
#include <unicode/datefmt.h>
#include <unicode/locid.h>
#include <unicode/numberformatter.h>
#include <unicode/plurrule.h>
#include <unicode/timezone.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "common/base/decimal.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::messaging {
namespace format_internal {

// A `truncate` without a number, and the longest text that a filter makes.
constexpr int kTruncateDefault = 100;

icu::Locale IcuLocale(const Locale& locale) {
  UErrorCode error = U_ZERO_ERROR;
  icu::Locale found = icu::Locale::forLanguageTag(locale.language, error);
  return U_FAILURE(error) ? icu::Locale::getEnglish() : found;
}

std::string Utf8(const icu::UnicodeString& text) {
  std::string out;
  text.toUTF8String(out);
  return out;
}

std::optional<Decimal> NumberOf(const Value& value) {
  auto number = Decimal::Parse(value.text);
  if (!number.ok()) return std::nullopt;
  return *number;
}

std::string Money(const Value& value, const Locale& locale) {
  if (!NumberOf(value)) return value.text;
  if (value.currency.size() != 3) return value.text;
  UErrorCode error = U_ZERO_ERROR;
  const icu::UnicodeString code = icu::UnicodeString::fromUTF8(value.currency);
  const icu::CurrencyUnit unit(icu::ConstChar16Ptr(code.getBuffer()), error);
  const auto text = icu::number::NumberFormatter::withLocale(IcuLocale(locale))
                        .unit(unit)
                        .roundingMode(UNUM_ROUND_HALFEVEN)
                        .formatDecimal(value.text, error)
                        .toString(error);
  return U_FAILURE(error) ? absl::StrCat(value.text, " ", value.currency) : Utf8(text);
}

std::string Number(const Value& value, int decimals, const Locale& locale) {
  if (!NumberOf(value)) return value.text;
  UErrorCode error = U_ZERO_ERROR;
  const auto precision = decimals >= 0 ? icu::number::Precision(icu::number::Precision::fixedFraction(decimals))
                                       : icu::number::Precision::unlimited();
  const auto text = icu::number::NumberFormatter::withLocale(IcuLocale(locale))
                        .precision(precision)
                        .roundingMode(UNUM_ROUND_HALFEVEN)
                        .formatDecimal(value.text, error)
                        .toString(error);
  return U_FAILURE(error) ? value.text : Utf8(text);
}

// The civil time of a value in the reader's zone, as a moment of UTC for ICU.
std::optional<absl::CivilSecond> CivilOf(const Value& value, const Locale& locale) {
  if (value.text.size() == 10) {
    auto day = ParseDate(value.text);
    if (!day.ok()) return std::nullopt;
    return absl::CivilSecond(*day);
  }
  auto time = ParseTime(value.text);
  if (!time.ok()) return std::nullopt;
  return absl::ToCivilSecond(*time, ZoneOrUtc(locale.time_zone));
}

std::string Date(const Value& value, const std::string& style, const Locale& locale) {
  const auto civil = CivilOf(value, locale);
  if (!civil) return value.text;
  if (style == "iso") return DateText(absl::CivilDay(*civil));
  static const std::map<std::string, icu::DateFormat::EStyle> kStyles = {{"short", icu::DateFormat::kShort},
                                                                         {"medium", icu::DateFormat::kMedium},
                                                                         {"long", icu::DateFormat::kLong},
                                                                         {"full", icu::DateFormat::kFull}};
  std::unique_ptr<icu::DateFormat> format;
  if (style == "time") {
    format.reset(icu::DateFormat::createTimeInstance(icu::DateFormat::kShort, IcuLocale(locale)));
  } else if (style == "datetime") {
    format.reset(
        icu::DateFormat::createDateTimeInstance(icu::DateFormat::kLong, icu::DateFormat::kShort, IcuLocale(locale)));
  } else {
    auto it = kStyles.find(style);
    format.reset(icu::DateFormat::createDateInstance(it == kStyles.end() ? icu::DateFormat::kLong : it->second,
                                                     IcuLocale(locale)));
  }
  if (!format) return value.text;
  format->adoptTimeZone(icu::TimeZone::getGMT()->clone());
  icu::UnicodeString text;
  format->format(static_cast<UDate>(absl::ToUnixMillis(absl::FromCivil(*civil, absl::UTCTimeZone()))), text);
  return Utf8(text);
}

// The form for a number: the arguments are in the order of the language's categories (one, few, many, other); the last
// one serves all that are not given. Russian: "товар", "товара", "товаров".
std::string Plural(const Value& value, const std::vector<Value>& forms, const Locale& locale) {
  double number = 0;
  if (forms.empty() || !absl::SimpleAtod(value.text, &number)) return "";
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<icu::PluralRules> rules(icu::PluralRules::forLocale(IcuLocale(locale), error));
  if (U_FAILURE(error)) return forms.back().text;
  const std::string category = Utf8(rules->select(std::abs(number)));
  static const std::vector<std::string> kOrder = {"zero", "one", "two", "few", "many", "other"};
  std::unique_ptr<icu::StringEnumeration> keywords(rules->getKeywords(error));
  std::vector<std::string> known;
  while (const char* keyword = U_FAILURE(error) ? nullptr : keywords->next(nullptr, error)) known.push_back(keyword);
  size_t index = 0;
  for (const auto& name : kOrder) {
    if (name == category) break;
    if (std::find(known.begin(), known.end(), name) != known.end()) ++index;
  }
  return forms[std::min(index, forms.size() - 1)].text;
}

std::string Cased(const std::string& text, bool upper, bool first_only, const Locale& locale) {
  icu::UnicodeString unicode = icu::UnicodeString::fromUTF8(text);
  if (first_only) {
    const int32_t end = unicode.moveIndex32(0, 1);
    icu::UnicodeString head(unicode, 0, end);
    return Utf8(head.toUpper(IcuLocale(locale)) + icu::UnicodeString(unicode, end));
  }
  return Utf8(upper ? unicode.toUpper(IcuLocale(locale)) : unicode.toLower(IcuLocale(locale)));
}

std::string UrlEncoded(const std::string& text) {
  std::string out;
  for (unsigned char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += static_cast<char>(c);
    } else {
      absl::StrAppend(&out, "%", absl::Hex(c, absl::kZeroPad2));
    }
  }
  return out;
}

}  // namespace format_internal

namespace fi = format_internal;

const std::vector<FilterInfo>& Filters() {
  static const std::vector<FilterInfo> kFilters = {
      {"capitalize", "{{ contact.job_title | capitalize }}", 0, 0},
      {"date", "{{ deal.expected_close_date | date: \"long\" }}  (short, medium, long, full, time, datetime, iso)", 0,
       1},
      {"default", "{{ contact.given_name | default: \"friend\" }}", 1, 1},
      {"downcase", "{{ contact.city | downcase }}", 0, 0},
      {"join", "{{ contact.tags | join: \", \" }}", 0, 1},
      {"money", "{{ deal.amount | money }}", 0, 0},
      {"number", "{{ line.quantity | number: 2 }}", 0, 1},
      {"plural", "{{ deal.lines.size | plural: \"item\", \"items\" }}", 1, 6},
      {"size", "{{ deal.lines | size }}", 0, 0},
      {"strip", "{{ contact.note | strip }}", 0, 0},
      {"truncate", "{{ contact.note | truncate: 40 }}", 0, 1},
      {"upcase", "{{ deal.number | upcase }}", 0, 0},
      {"url_encode", "https://example.com/?id={{ deal.id | url_encode }}", 0, 0},
  };
  return kFilters;
}

const FilterInfo* FindFilter(const std::string& name) {
  for (const auto& filter : Filters()) {
    if (filter.name == name) return &filter;
  }
  return nullptr;
}

Value ApplyFilter(const std::string& name, const Value& value, const std::vector<Value>& arguments,
                  const Locale& locale) {
  const std::string first = arguments.empty() ? "" : arguments.front().text;
  if (name == "default") return value.Truth() || value.kind == Value::Kind::kBool ? value : arguments.front();
  if (name == "size") {
    return Value::Number(absl::StrCat(value.kind == Value::Kind::kList ? value.items.size() : LengthOf(value.text)));
  }
  if (name == "join") {
    std::string out;
    for (size_t i = 0; i < value.items.size(); ++i) {
      if (i > 0) out += arguments.empty() ? " " : first;
      out += Plain(value.items[i], locale);
    }
    return Value::Text(value.kind == Value::Kind::kList ? out : Plain(value, locale));
  }
  if (name == "plural") return Value::Text(fi::Plural(value, arguments, locale));
  if (value.kind == Value::Kind::kNone) return value;
  if (name == "money") return Value::Text(fi::Money(value, locale));
  if (name == "date") return Value::Text(fi::Date(value, first, locale));
  if (name == "number") {
    int decimals = -1;
    if (!first.empty() && (!absl::SimpleAtoi(first, &decimals) || decimals < 0 || decimals > 10)) decimals = -1;
    return Value::Text(fi::Number(value, decimals, locale));
  }
  const std::string text = Plain(value, locale);
  if (name == "upcase") return Value::Text(fi::Cased(text, true, false, locale));
  if (name == "downcase") return Value::Text(fi::Cased(text, false, false, locale));
  if (name == "capitalize") return Value::Text(text.empty() ? text : fi::Cased(text, true, true, locale));
  if (name == "strip") return Value::Text(Squeezed(text));
  if (name == "url_encode") return Value::Text(fi::UrlEncoded(text));
  if (name == "truncate") {
    int length = fi::kTruncateDefault;
    if (!first.empty() && (!absl::SimpleAtoi(first, &length) || length < 1)) length = fi::kTruncateDefault;
    if (LengthOf(text) <= static_cast<size_t>(length)) return Value::Text(text);
    return Value::Text(Truncated(text, static_cast<size_t>(length) - 1) + "…");
  }
  return value;
}

std::string Plain(const Value& value, const Locale& locale) {
  switch (value.kind) {
    case Value::Kind::kNone:
    case Value::Kind::kObject:
      return "";
    case Value::Kind::kBool:
      return value.flag ? "true" : "false";
    case Value::Kind::kMoney:
      return fi::Money(value, locale);
    case Value::Kind::kDate:
    case Value::Kind::kTime:
      return fi::Date(value, "long", locale);
    case Value::Kind::kList: {
      std::string out;
      for (const auto& item : value.items) absl::StrAppend(&out, out.empty() ? "" : ", ", Plain(item, locale));
      return out;
    }
    default:
      return value.text;
  }
}

}  // namespace crm::messaging
