#include "common/rpc/wire.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>

#include "common/obs/log.h"
#include "common/rpc/status.h"

namespace crm::rpc::wire {

void RouteLog() {
  static const bool once = [] {
    // protobuf's are about bytes that it could not read, which we refuse with an answer of our own.
    google::protobuf::SetLogHandler([](google::protobuf::LogLevel level, const char*, int, const std::string& text) {
      obs::Log(level == google::protobuf::LOGLEVEL_FATAL ? obs::Level::kError : obs::Level::kDebug, text,
               {{"source", "protobuf"}});
    });
    // Debian builds Abseil with its detector of deadlocks on: every lock and unlock would be entered in a graph.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return true;
  }();
  (void)once;
}

WireStatus ToWire(const absl::Status& status) {
  if (status.ok()) return {};
  absl::string_view text = status.message();
  if (text.size() > kErrorBytesMax / 4) {
    text = text.substr(0, kErrorBytesMax / 4);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.remove_suffix(1);
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
  }
  google::rpc::Status details = ToProto(status);
  details.set_message(std::string(text));
  size_t bytes = 0;
  for (int i = 0; i < details.details_size();) {
    if ((bytes += details.details(i).value().size()) <= kErrorBytesMax) {
      ++i;
    } else {
      details.mutable_details()->DeleteSubrange(i, 1);
    }
  }
  return {static_cast<int>(status.code()), std::string(text), details.SerializeAsString()};
}

absl::Status FromWire(const WireStatus& status) {
  if (status.code == 0) return absl::OkStatus();
  google::rpc::Status details;
  if (status.details.empty() || !details.ParseFromString(status.details)) details.Clear();
  // The call's own code and text count, whatever the details say.
  details.set_code(status.code);
  details.set_message(status.text);
  return FromProto(details);
}

std::string PercentEncoded(absl::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // A header's value may not begin or end with a space (RFC 9113, section 8.2.1): the whole answer would be refused.
    const bool at_an_end = byte == ' ' && (i == 0 || i + 1 == text.size());
    if (byte >= 0x20 && byte <= 0x7e && byte != '%' && !at_an_end) {
      out += text[i];
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string PercentDecoded(absl::string_view text) {
  const auto value = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && value(text[i + 1]) >= 0 && value(text[i + 2]) >= 0) {
      out += static_cast<char>(value(text[i + 1]) * 16 + value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];  // not as it should be; better than nothing
    }
  }
  return out;
}

std::optional<std::chrono::nanoseconds> ParseTimeout(absl::string_view text) {
  using std::chrono::nanoseconds;
  uint64_t count = 0;
  // One to eight digits and a unit.
  if (text.size() < 2 || text.size() > 9 || !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) ||
      !absl::ascii_isdigit(static_cast<unsigned char>(text[text.size() - 2])) ||
      !absl::SimpleAtoi(text.substr(0, text.size() - 1), &count)) {
    return std::nullopt;
  }
  // At most 99,999,999 hours, which does not fit into nanoseconds: whoever waits for a century waits for ever.
  const auto of = [count](int64_t unit) {
    constexpr int64_t kMost = int64_t{100} * 365 * 24 * 3600 * 1'000'000'000 / 2;
    return nanoseconds(static_cast<int64_t>(count) > kMost / unit ? kMost : static_cast<int64_t>(count) * unit);
  };
  switch (text.back()) {
    case 'n':
      return of(1);
    case 'u':
      return of(1'000);
    case 'm':
      return of(1'000'000);
    case 'S':
      return of(1'000'000'000);
    case 'M':
      return of(60 * int64_t{1'000'000'000});
    case 'H':
      return of(3600 * int64_t{1'000'000'000});
    default:
      return std::nullopt;
  }
}

std::string TimeoutText(std::chrono::nanoseconds left) {
  constexpr int64_t kMost = 99'999'999;  // eight digits
  const int64_t micros = std::max<int64_t>((left.count() + 999) / 1000, 1);
  if (micros <= kMost) return absl::StrCat(micros, "u");
  const int64_t millis = (micros + 999) / 1000;
  if (millis <= kMost) return absl::StrCat(millis, "m");
  return absl::StrCat(std::min((millis + 999) / 1000, kMost), "S");
}

void PutPrefix(char* at, size_t size) {
  at[0] = 0;
  at[1] = static_cast<char>(size >> 24);
  at[2] = static_cast<char>(size >> 16);
  at[3] = static_cast<char>(size >> 8);
  at[4] = static_cast<char>(size);
}

}  // namespace crm::rpc::wire
