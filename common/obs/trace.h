// W3C Trace Context, level 1 (www.w3.org/TR/trace-context): "00-<32 hex trace id>-<16 hex span id>-<2 hex flags>".
#pragma once

#include <absl/strings/string_view.h>

#include <optional>
#include <string>

namespace crm::obs {

struct Traceparent {
  std::string trace_id;  // 32 lowercase hex digits, not all zero
  std::string span_id;   // 16 lowercase hex digits, not all zero
  uint8_t flags = 1;     // bit 0: sampled

  std::string ToString() const;
};

// Reads a traceparent as strictly as the specification demands; nothing for anything else. A version above 00 is read
// by its first four parts; ff is refused.
std::optional<Traceparent> ParseTraceparent(absl::string_view text);

// A new root span, sampled, with random ids. Thread-safe.
std::string NewTraceparent();

// The next hop of `parent`: the same trace, a new span; a new root if `parent` cannot be read.
std::string ChildTraceparent(absl::string_view parent);

// The parts of a traceparent of ours, without copying; empty if it is none.
absl::string_view TraceIdOf(absl::string_view traceparent);
absl::string_view SpanIdOf(absl::string_view traceparent);

}  // namespace crm::obs
