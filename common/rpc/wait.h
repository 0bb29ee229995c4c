// The border between other threads (gRPC's, a pool's) and coroutines.
#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "common/base/async.h"

namespace crm::rpc {

// Waits for one value that any thread may deliver, and resumes on the waiting coroutine's loop. `start` receives a
// copyable function to be called exactly once; the loop counts as busy meanwhile.
template <typename T, typename Start>
asio::awaitable<T> WaitFor(Start start) {
  return asio::async_initiate<const asio::use_awaitable_t<>&, void(T)>(
      [](auto handler, Start start) {
        using Handler = decltype(handler);
        struct Waiting {
          Handler handler;
          asio::executor_work_guard<asio::associated_executor_t<Handler>> work;
          explicit Waiting(Handler h) : handler(std::move(h)), work(asio::get_associated_executor(handler)) {}
        };
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto waiting = std::make_shared<Waiting>(std::move(handler));
        start(
            [waiting](T value) {
              auto executor = waiting->work.get_executor();
              asio::post(executor, [waiting, value = std::move(value)]() mutable {
                asio::get_associated_cancellation_slot(waiting->handler).clear();
                auto resume = std::move(waiting->handler);
                waiting->work.reset();
                std::move(resume)(std::move(value));
              });
            },
            slot);
      },
      asio::use_awaitable, std::move(start));
}

}  // namespace crm::rpc
