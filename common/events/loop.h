// Small tools of relay and consumers: a bell to wait on, jitter, and the calls that they make on their own account.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <random>
#include <string>

#include "common/base/async.h"
#include "common/base/call.h"

namespace crm::events {

// One coroutine waits, others of the same loop ring. A ring while nobody waits ends the next wait at once.
class Bell {
 public:
  explicit Bell(const asio::any_io_executor& executor) : timer_(executor) {}

  void Ring() {
    rung_ = true;
    timer_.cancel();
  }
  asio::awaitable<void> Wait(std::chrono::milliseconds time) {
    if (!rung_) {
      timer_.expires_after(time);
      co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    rung_ = false;
  }

 private:
  asio::steady_timer timer_;
  bool rung_ = false;
};

// True when the coroutine has been cancelled; waits then end early, and the caller ends in order.
inline asio::awaitable<bool> Cancelled() {
  auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

// Between `low` and `high`, so that replicas do not come in step.
inline std::chrono::milliseconds Jitter(std::chrono::milliseconds low, std::chrono::milliseconds high) {
  thread_local std::minstd_rand random(std::random_device{}());
  if (high <= low) return low;
  return low + std::chrono::milliseconds(random() % static_cast<unsigned>((high - low).count() + 1));
}

// "INTERNAL: what happened", without the details that travel to callers.
std::string Brief(const absl::Status& status);

// A name for this process among its replicas that no other has.
std::string NewHolder();

// A call that the service makes by itself, for one tenant or (nil) none.
Call OwnCall(const std::string& service, const std::string& method, const Uuid& tenant,
             std::chrono::milliseconds timeout);

}  // namespace crm::events
