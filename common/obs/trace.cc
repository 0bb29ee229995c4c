#include "common/obs/trace.h"

#include <sys/random.h>

#include <array>
#include <cstring>

namespace crm::obs {
namespace trace_internal {

constexpr size_t kLength = 55;  // 2 + 1 + 32 + 1 + 16 + 1 + 2

bool IsHex(absl::string_view text) {
  for (char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

bool AllZero(absl::string_view text) { return text.find_first_not_of('0') == absl::string_view::npos; }

int HexValue(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// xoshiro256** (Blackman and Vigna), seeded by the kernel once per thread: ids need to be unique, not secret.
uint64_t Random() {
  thread_local std::array<uint64_t, 4> state = [] {
    std::array<uint64_t, 4> seed{};
    for (size_t have = 0; have < sizeof seed;) {
      ssize_t n = getrandom(reinterpret_cast<char*>(seed.data()) + have, sizeof seed - have, 0);
      if (n > 0) have += static_cast<size_t>(n);
    }
    return seed;
  }();
  auto rotate = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  const uint64_t result = rotate(state[1] * 5, 7) * 9;
  const uint64_t t = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotate(state[3], 45);
  return result;
}

void AppendHex(std::string& out, uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[(value >> shift) & 15];
}

uint64_t NonZero() {
  uint64_t value = Random();
  while (value == 0) value = Random();
  return value;
}

}  // namespace trace_internal

std::string Traceparent::ToString() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "00-" + trace_id + "-" + span_id + "-";
  out += kDigits[flags >> 4];
  out += kDigits[flags & 15];
  return out;
}

std::optional<Traceparent> ParseTraceparent(absl::string_view text) {
  namespace in = trace_internal;
  if (text.size() < in::kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  const absl::string_view version = text.substr(0, 2);
  const absl::string_view trace_id = text.substr(3, 32);
  const absl::string_view span_id = text.substr(36, 16);
  const absl::string_view flags = text.substr(53, 2);
  if (!in::IsHex(version) || !in::IsHex(trace_id) || !in::IsHex(span_id) || !in::IsHex(flags)) return std::nullopt;
  if (version == "ff" || in::AllZero(trace_id) || in::AllZero(span_id)) return std::nullopt;
  if (text.size() > in::kLength && (version == "00" || text[in::kLength] != '-')) return std::nullopt;
  Traceparent parsed;
  parsed.trace_id = std::string(trace_id);
  parsed.span_id = std::string(span_id);
  parsed.flags = static_cast<uint8_t>(in::HexValue(flags[0]) * 16 + in::HexValue(flags[1]));
  return parsed;
}

std::string NewTraceparent() {
  std::string out = "00-";
  out.reserve(trace_internal::kLength);
  trace_internal::AppendHex(out, trace_internal::NonZero());
  trace_internal::AppendHex(out, trace_internal::Random());
  out += '-';
  trace_internal::AppendHex(out, trace_internal::NonZero());
  out += "-01";
  return out;
}

std::string ChildTraceparent(absl::string_view parent) {
  auto parsed = ParseTraceparent(parent);
  if (!parsed) return NewTraceparent();
  std::string span;
  trace_internal::AppendHex(span, trace_internal::NonZero());
  parsed->span_id = std::move(span);
  return parsed->ToString();
}

absl::string_view TraceIdOf(absl::string_view traceparent) {
  return traceparent.size() >= trace_internal::kLength ? traceparent.substr(3, 32) : absl::string_view();
}

absl::string_view SpanIdOf(absl::string_view traceparent) {
  return traceparent.size() >= trace_internal::kLength ? traceparent.substr(36, 16) : absl::string_view();
}

}  // namespace crm::obs
