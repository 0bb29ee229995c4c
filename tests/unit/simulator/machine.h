// The machine that a simulation runs on: its clock moves only while nothing can be done, and then at once to where something
// can, and its randomness is a seed's. It stands where the kernel does (clock_gettime, epoll_wait, timerfd_create, the
// sources of random numbers), so what runs on it is the ordinary code on an ordinary asio::io_context: timers, coroutines,
// std::chrono, absl::Now(). For binaries of their own, with one thread and without files and sockets.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace crm::sim {

using Random = std::mt19937_64;
using Millis = std::chrono::milliseconds;

// Begins anew: the same moment, numbers of this seed.
void ResetMachine(uint64_t seed);

// The wall clock jumps; the steady one never does, nor does what a clock that is right would show (since 1970).
std::chrono::nanoseconds RightTime();
void JumpWallClock(Millis by);

// What std::random_device and RAND_bytes hand out.
Random& MachineRandom();

// What this process has used of the real processor.
double CpuSeconds();

}  // namespace crm::sim
