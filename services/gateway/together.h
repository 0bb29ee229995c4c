// Several coroutines at once on the caller's loop, all awaited.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <exception>

#include "common/base/async.h"

namespace crm::gateway {

// Runs work(0) ... work(count - 1) concurrently and returns when all have ended; the first exception is thrown on.
// `work` must outlive the co_await: name it, do not pass a temporary lambda with captures.
template <typename Work>
asio::awaitable<void> Together(size_t count, Work& work) {
  if (count == 0) co_return;
  if (count == 1) {
    co_await work(0);
    co_return;
  }
  auto executor = co_await asio::this_coro::executor;
  asio::steady_timer done(executor, asio::steady_timer::time_point::max());
  size_t left = count;
  std::exception_ptr failed;
  for (size_t i = 0; i < count; ++i) {
    asio::co_spawn(executor, work(i), [&](std::exception_ptr error) {
      if (error && !failed) failed = error;
      if (--left == 0) done.cancel();
    });
  }
  // A cancelled caller still waits: the coroutines use its frame. They end by their own deadlines.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  while (left > 0) co_await done.async_wait(asio::as_tuple(asio::use_awaitable));
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  if (failed) std::rethrow_exception(failed);
}

}  // namespace crm::gateway
