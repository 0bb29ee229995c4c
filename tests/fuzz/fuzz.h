// A fuzzer in one small file: tests/fuzz/<name>_fuzz.cc
//
//   // covers: common/base/email.cc
//   CRM_FUZZ(email) {
//     auto email = crm::NormalizeEmail(input.Rest());
//     if (!email.ok()) return crm::fuzz::RequireRefusal(email.status());
//     crm::fuzz::Require(crm::NormalizeEmail(*email).value_or("") == *email, "a normal address is its own normal form");
//   }
//
// and at least one file in tests/fuzz/corpus/<name>/. fuzz_replay runs it on the corpus and on random changes of it in
// every test run; `tools/crm fuzz` lets libFuzzer look for more. `covers:` names what the parser is made of, for
// `tools/crm fuzz --coverage`.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/base/text.h"

namespace crm::fuzz {

// The bytes that a parser is tried on. Options come first, a line each where a person should be able to read the corpus.
class Input {
 public:
  explicit Input(absl::string_view bytes) : left_(bytes) {}

  // What is left; nothing is left then.
  absl::string_view Rest() { return Take(left_.size()); }
  // Up to the next line end, which is taken off.
  absl::string_view Line() {
    const size_t end = left_.find('\n');
    if (end == absl::string_view::npos) return Rest();
    const absl::string_view line = Take(end);
    Take(1);
    return line;
  }
  // 0 at the end.
  uint8_t Byte() { return left_.empty() ? 0 : static_cast<uint8_t>(Take(1)[0]); }
  // One of these.
  template <typename T, size_t n>
  const T& Of(const T (&choices)[n]) {
    return choices[Byte() % n];
  }
  bool empty() const { return left_.empty(); }

 private:
  absl::string_view Take(size_t size) {
    const absl::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  absl::string_view left_;
};

// A promise that did not hold.
struct Broken : std::logic_error {
  using std::logic_error::logic_error;
};

inline void Require(bool holds, absl::string_view promise, absl::string_view found = {}) {
  if (!holds) throw Broken("not so: " + std::string(promise) + (found.empty() ? "" : "\n  " + std::string(found)));
}

// What every refusal of a caller's words must be: told in good UTF-8, not longer than a screen, its fields by name.
inline void RequireRefusal(const absl::Status& status) {
  constexpr size_t kMessageMax = 64 << 10;
  Require(!status.ok() && !status.message().empty(), "a refusal says what is wrong");
  Require(status.message().size() < kMessageMax, "a refusal is short");
  Require(IsUtf8(status.message()), "a refusal is UTF-8", status.message());
  Require(status.code() != absl::StatusCode::kInternal && status.code() != absl::StatusCode::kUnknown,
          "what a caller sent is never called a fault of ours", status.message());
  for (const auto& violation : ViolationsOf(status)) {
    Require(!violation.field.empty() && !violation.description.empty(), "a violation names its field",
            status.message());
    Require(IsUtf8(violation.field) && IsUtf8(violation.description), "a violation is UTF-8", violation.description);
  }
}

using Run = void (*)(Input& input);

// Every fuzzer that is linked in, by name.
inline std::map<std::string, Run>& Registered() {
  static auto* registered = new std::map<std::string, Run>;
  return *registered;
}

}  // namespace crm::fuzz

// Defines and registers a fuzzer; `input` is what it is tried on.
#define CRM_FUZZ(name)                                                                                                \
  static void CrmFuzz_##name(crm::fuzz::Input& input);                                                                \
  [[maybe_unused]] static const bool kCrmFuzz_##name = crm::fuzz::Registered().emplace(#name, CrmFuzz_##name).second; \
  static void CrmFuzz_##name(crm::fuzz::Input& input)
