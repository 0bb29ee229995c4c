#include "tests/unit/simulator/machine.h"

#include <absl/base/config.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <errno.h>
#include <openssl/rand.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>

namespace crm::sim {
namespace {

constexpr int64_t kNanos = 1'000'000'000;
constexpr int64_t kMilli = 1'000'000;
// 2026-11-23 12:00 UTC, and a machine that has been up for a day.
constexpr int64_t kWallBegin = 1'795'435'200 * kNanos;
constexpr int64_t kSteadyBegin = 86'400 * kNanos;

int64_t steady = kSteadyBegin;
int64_t wall_ahead = kWallBegin - kSteadyBegin;
Random machine_random(1);  // NOLINT: the seed is the point

}  // namespace

void ResetMachine(uint64_t seed) {
  steady = kSteadyBegin;
  wall_ahead = kWallBegin - kSteadyBegin;
  machine_random.seed(seed);
}

std::chrono::nanoseconds RightTime() { return std::chrono::nanoseconds(steady - kSteadyBegin + kWallBegin); }

void JumpWallClock(Millis by) { wall_ahead += by.count() * kMilli; }

Random& MachineRandom() { return machine_random; }

double CpuSeconds() {
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace crm::sim

// ---- in place of the kernel and the libraries ----

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  int64_t now = crm::sim::steady;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now += crm::sim::wall_ahead;
  out->tv_sec = now / crm::sim::kNanos;
  out->tv_nsec = now % crm::sim::kNanos;
  return 0;
}

// Without it, asio hands the time until its next timer to epoll_wait.
int timerfd_create(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}

int epoll_ctl(int, int, int, epoll_event*) noexcept { return 0; }

int epoll_wait(int, epoll_event*, int, int timeout) {
  if (timeout > 0) crm::sim::steady += timeout * crm::sim::kMilli;
  return 0;
}

int RAND_bytes(unsigned char* bytes, int count) {
  for (int i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>(crm::sim::machine_random());
  return 1;
}

}  // extern "C"

// Abseil reckons the time from the processor's cycles between its looks at the clock.
namespace absl {
ABSL_NAMESPACE_BEGIN
int64_t GetCurrentTimeNanos() { return crm::sim::steady + crm::sim::wall_ahead; }
Time Now() { return FromUnixNanos(GetCurrentTimeNanos()); }
ABSL_NAMESPACE_END
}  // namespace absl

namespace std {
random_device::result_type random_device::_M_getval() { return static_cast<result_type>(crm::sim::machine_random()); }
}  // namespace std
