#include "common/base/clock.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace crm {
namespace one_clock {

using Steady = std::chrono::steady_clock;

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::min();

// What the database's clock is ahead of this process's steady clock, in nanoseconds.
std::atomic<int64_t> ahead{kUnknown};

int64_t Nanos(Steady::time_point time) { return std::chrono::nanoseconds(time.time_since_epoch()).count(); }

}  // namespace one_clock

absl::Time Now() {
  const int64_t ahead = one_clock::ahead.load(std::memory_order_relaxed);
  if (ahead == one_clock::kUnknown) return absl::Now();
  return absl::FromUnixNanos(one_clock::Nanos(one_clock::Steady::now()) + ahead);
}

void LearnTime(std::chrono::steady_clock::time_point asked, std::chrono::steady_clock::time_point answered,
               absl::Time time) {
  // The clock was read at some moment between the two.
  const int64_t least = absl::ToUnixNanos(time) - one_clock::Nanos(answered);
  const int64_t most = absl::ToUnixNanos(time) - one_clock::Nanos(asked);
  if (least > most) return;
  int64_t known = one_clock::ahead.load(std::memory_order_relaxed);
  for (;;) {
    const int64_t better = known == one_clock::kUnknown ? least + (most - least) / 2 : std::clamp(known, least, most);
    if (one_clock::ahead.compare_exchange_weak(known, better, std::memory_order_relaxed)) return;
  }
}

bool TimeIsKnown() { return one_clock::ahead.load(std::memory_order_relaxed) != one_clock::kUnknown; }

void ForgetTime() { one_clock::ahead.store(one_clock::kUnknown, std::memory_order_relaxed); }

}  // namespace crm
