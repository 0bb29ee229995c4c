// The log: one JSON line per event on stdout, for programs to read. Fields that every line has: ts (UTC), level, svc,
// msg; with a call also trace_id, span_id, tenant, rpc. Never a secret, never personal data: log ids and counts.
//
//   obs::Log(obs::Level::kWarning, "the lane's head is behind", {{"producer", name}, {"behind", count}});
//   obs::Log(obs::Level::kError, call, "the reply could not be stored", {{"statement", name}});
//
// Logging never waits: lines go to a bounded buffer that a thread writes out; what does not fit is counted and dropped,
// and the count is logged as soon as there is room.
#pragma once

#include <absl/strings/string_view.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <variant>

#include "common/base/call.h"

namespace crm::obs {

enum class Level { kDebug, kInfo, kWarning, kError };

// One named value. It views its text: use it within the expression only.
struct Field {
  absl::string_view name;
  std::variant<absl::string_view, int64_t, double, bool> value;

  Field(absl::string_view n, absl::string_view v) : name(n), value(v) {}
  Field(absl::string_view n, const char* v) : name(n), value(absl::string_view(v)) {}
  Field(absl::string_view n, const std::string& v) : name(n), value(absl::string_view(v)) {}
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  Field(absl::string_view n, T v) : name(n) {
    if constexpr (std::is_same_v<T, bool>) {
      value = v;
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<double>(v);
    } else {
      value = static_cast<int64_t>(v);
    }
  }
};

void Log(Level level, absl::string_view message, std::initializer_list<Field> fields = {});
void Log(Level level, const Call& call, absl::string_view message, std::initializer_list<Field> fields = {});
// Whether a line of this level is written; ask before costly preparations.
bool Enabled(Level level);

// Names the service and starts the writer. Before it, lines of level warning and above go straight to stderr.
void StartLog(std::string service, Level level);
// Writes out what is buffered and ends the writer. Also called at exit.
void StopLog();
// Lines dropped so far because the buffer was full.
uint64_t DroppedLines();

// "debug", "info" (also for empty), "warning", "error"; false for anything else.
bool ParseLevel(absl::string_view text, Level* level);

// Sends lines (without their newline) to `sink` instead, at once and under a lock; nullptr undoes it. For tests.
void CaptureLog(std::function<void(absl::string_view)> sink, Level level = Level::kDebug);

// Appends text as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD.
void AppendJsonString(std::string& out, absl::string_view text);

}  // namespace crm::obs
