// Time handed in: code that stamps or waits asks a Clock, so that a test can set it. And the one clock that processes go by:
// PostgreSQL's. Each process has measured it and carries it on by the steady clock, so that neither a machine whose clock is
// wrong nor one whose clock is set makes a token, a record or a timer wrong (DECISIONS.md, "One clock").
#pragma once

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <atomic>
#include <chrono>

namespace crm {

// What time it is, for all that is stamped, signed, judged or named by time. Off by half a round trip to the database at most;
// before the first LearnTime it is the machine's. Any thread.
absl::Time Now();

// What the database's clock said, to a question that was sent and answered at these moments. Now() moves no further than this
// answer makes necessary: answers that were long under way prove little. Any thread.
void LearnTime(std::chrono::steady_clock::time_point asked, std::chrono::steady_clock::time_point answered,
               absl::Time time);
// Whether there was one. A process serves nothing before.
bool TimeIsKnown();
// As if there had been none; for tests.
void ForgetTime();

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's.
class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

// Stands still until it is set.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(absl::Time now) : nanos_(absl::ToUnixNanos(now)) {}
  absl::Time Now() const override { return absl::FromUnixNanos(nanos_.load()); }
  void Set(absl::Time now) { nanos_ = absl::ToUnixNanos(now); }
  void Advance(absl::Duration by) { nanos_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> nanos_;
};

}  // namespace crm
