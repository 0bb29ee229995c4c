// The one concurrency model: coroutines on Boost.Asio that answer a status or a value.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <boost/asio/awaitable.hpp>
#include <type_traits>

namespace crm {

namespace asio = boost::asio;

namespace internal {
template <typename T>
struct AsyncResult {
  using type = absl::StatusOr<T>;
};
template <>
struct AsyncResult<void> {
  using type = absl::Status;
};
}  // namespace internal

// What every operation that may wait returns. A coroutine runs on the event loop that started it and never blocks it.
// Arguments taken by reference must outlive the co_await: callers await at once, they do not store the awaitable.
template <typename T = void>
using Async = asio::awaitable<typename internal::AsyncResult<T>::type>;

}  // namespace crm
