#include "common/json/text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/stubs/common.h>

#include <charconv>
#include <chrono>
#include <cmath>

#include "common/json/json.h"

namespace crm::json::text {
namespace {

constexpr int kNanosPerSecond = 1'000'000'000;

void AppendDigits(unsigned value, int digits, std::string& out) {
  char buffer[10];
  for (int i = digits - 1; i >= 0; --i, value /= 10) buffer[i] = static_cast<char>('0' + value % 10);
  out.append(buffer, digits);
}

// ".120", ".000120", ".000000001", or nothing: the groups of three that json_util prints.
void AppendFraction(unsigned nanos, std::string& out) {
  if (nanos == 0) return;
  out += '.';
  if (nanos % 1'000'000 == 0) {
    AppendDigits(nanos / 1'000'000, 3, out);
  } else if (nanos % 1000 == 0) {
    AppendDigits(nanos / 1000, 6, out);
  } else {
    AppendDigits(nanos, 9, out);
  }
}

// Takes exactly `digits` digits off the front; -1 if they are not there.
int TakeDigits(absl::string_view& text, int digits) {
  if (text.size() < static_cast<std::size_t>(digits)) return -1;
  int value = 0;
  for (int i = 0; i < digits; ++i) {
    if (!absl::ascii_isdigit(text[i])) return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool TakeChar(absl::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// Takes ".5" as 500,000,000; nothing is 0; -1 if there is a point with no or more than nine digits.
int TakeFraction(absl::string_view& text) {
  if (!TakeChar(text, '.')) return 0;
  int nanos = 0, digits = 0;
  while (!text.empty() && absl::ascii_isdigit(text[0])) {
    if (++digits > 9) return -1;
    nanos = nanos * 10 + (text[0] - '0');
    text.remove_prefix(1);
  }
  if (digits == 0) return -1;
  for (; digits < 9; ++digits) nanos *= 10;
  return nanos;
}

template <typename T>
bool AppendShortest(T value, std::string& out) {
  if (!std::isfinite(value)) return false;
  const T size = std::abs(value);
  const bool plain = size == 0 || (size >= T(1e-6) && size < T(1e21));
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                           plain ? std::chars_format::fixed : std::chars_format::scientific);
  out.append(buffer, end.ptr - buffer);
  return true;
}

}  // namespace

bool AppendTimestamp(int64_t seconds, int32_t nanos, std::string& out) {
  if (seconds < kTimestampSecondsMin || seconds > kTimestampSecondsMax || nanos < 0 || nanos >= kNanosPerSecond) {
    return false;
  }
  using namespace std::chrono;
  const sys_seconds time{std::chrono::seconds(seconds)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const auto second = static_cast<unsigned>((time - day).count());
  out += '"';
  AppendDigits(static_cast<unsigned>(static_cast<int>(date.year())), 4, out);
  out += '-';
  AppendDigits(static_cast<unsigned>(date.month()), 2, out);
  out += '-';
  AppendDigits(static_cast<unsigned>(date.day()), 2, out);
  out += 'T';
  AppendDigits(second / 3600, 2, out);
  out += ':';
  AppendDigits(second / 60 % 60, 2, out);
  out += ':';
  AppendDigits(second % 60, 2, out);
  AppendFraction(nanos, out);
  out += "Z\"";
  return true;
}

std::optional<SecondsNanos> ParseTimestamp(absl::string_view text) {
  using namespace std::chrono;
  const int year = TakeDigits(text, 4);
  if (!TakeChar(text, '-')) return std::nullopt;
  const int month = TakeDigits(text, 2);
  if (!TakeChar(text, '-')) return std::nullopt;
  const int day = TakeDigits(text, 2);
  if (year < 1 || month < 0 || day < 0) return std::nullopt;  // as common/base/time.h, whatever the offset makes of it
  const year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  if (!TakeChar(text, 'T') && !TakeChar(text, 't')) return std::nullopt;
  const int hour = TakeDigits(text, 2);
  if (!TakeChar(text, ':')) return std::nullopt;
  const int minute = TakeDigits(text, 2);
  if (!TakeChar(text, ':')) return std::nullopt;
  const int second = TakeDigits(text, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return std::nullopt;
  const int nanos = TakeFraction(text);
  if (nanos < 0) return std::nullopt;

  int offset = 0;
  if (!TakeChar(text, 'Z') && !TakeChar(text, 'z')) {
    const bool west = TakeChar(text, '-');
    if (!west && !TakeChar(text, '+')) return std::nullopt;
    const int offset_hour = TakeDigits(text, 2);
    if (!TakeChar(text, ':')) return std::nullopt;
    const int offset_minute = TakeDigits(text, 2);
    if (offset_hour < 0 || offset_hour > 23 || offset_minute < 0 || offset_minute > 59) return std::nullopt;
    offset = (offset_hour * 60 + offset_minute) * (west ? -60 : 60);
  }
  if (!text.empty()) return std::nullopt;
  const int64_t days_since = sys_days(date).time_since_epoch().count();
  const int64_t seconds = days_since * 86400 + hour * 3600 + minute * 60 + second - offset;
  if (seconds < kTimestampSecondsMin || seconds > kTimestampSecondsMax) return std::nullopt;
  return SecondsNanos{seconds, nanos};
}

bool AppendDuration(int64_t seconds, int32_t nanos, std::string& out) {
  if (seconds < -kDurationSecondsMax || seconds > kDurationSecondsMax) return false;
  if (nanos <= -kNanosPerSecond || nanos >= kNanosPerSecond) return false;
  if ((seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0)) return false;
  out += '"';
  if (seconds < 0 || nanos < 0) out += '-';
  absl::StrAppend(&out, std::abs(seconds));
  AppendFraction(static_cast<unsigned>(std::abs(nanos)), out);
  out += "s\"";
  return true;
}

std::optional<SecondsNanos> ParseDuration(absl::string_view text) {
  const bool negative = TakeChar(text, '-');
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || text[0] == '-') return std::nullopt;  // from_chars takes a sign of its own
  text.remove_prefix(end - text.data());
  int nanos = TakeFraction(text);
  if (nanos < 0 || text != "s" || seconds > kDurationSecondsMax) return std::nullopt;
  if (seconds == kDurationSecondsMax && nanos > 0) return std::nullopt;
  if (negative) {
    seconds = -seconds;
    nanos = -nanos;
  }
  return SecondsNanos{seconds, nanos};
}

bool AppendNumber(double value, std::string& out) {
  // Most doubles of an API are whole; integers print several times faster. -0 goes the other way, to keep its sign.
  constexpr double kExact = 1e15;
  if (value > -kExact && value < kExact && value == std::floor(value) && !(value == 0 && std::signbit(value))) {
    absl::StrAppend(&out, static_cast<int64_t>(value));
    return true;
  }
  return AppendShortest(value, out);
}

bool AppendNumber(float value, std::string& out) { return AppendShortest(value, out); }

std::optional<std::string> ParseBase64(absl::string_view text) {
  std::string standard(text);
  for (char& c : standard) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
    if (!absl::ascii_isalnum(c) && c != '+' && c != '/' && c != '=') return std::nullopt;  // absl skips white space
  }
  std::string bytes;
  if (!absl::Base64Unescape(standard, &bytes)) return std::nullopt;
  return bytes;
}

bool IsText(absl::string_view bytes) {
  return bytes.find('\0') == absl::string_view::npos &&
         google::protobuf::internal::IsStructurallyValidUTF8(bytes.data(), static_cast<int>(bytes.size()));
}

std::string Quoted(absl::string_view bytes) {
  constexpr std::size_t kQuotedBytesMax = 64;  // enough to recognise one's own words
  std::string quoted;
  if (bytes.size() <= kQuotedBytesMax) {
    AppendString(bytes, quoted);
    return quoted;
  }
  bytes = bytes.substr(0, kQuotedBytesMax);
  // Not in the middle of a character.
  while (!bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0xC0) == 0x80) bytes.remove_suffix(1);
  if (!bytes.empty() && static_cast<unsigned char>(bytes.back()) >= 0xC0) bytes.remove_suffix(1);
  AppendString(absl::StrCat(bytes, "…"), quoted);
  return quoted;
}

std::string SnakeCase(absl::string_view name) {
  std::string snake;
  for (char c : name) {
    if (absl::ascii_isupper(c) && !snake.empty()) snake += '_';
    snake += absl::ascii_tolower(c);
  }
  return snake;
}

}  // namespace crm::json::text
