// Runs coroutines from a test, and makes the calls that they are handed.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/base/id.h"

namespace crm::testing {

// What a caller of an rpc reads of its answer: handlers may leave records as bytes (pg::ListReply).
template <typename M>
absl::StatusOr<M> Received(const absl::StatusOr<M>& answer) {
  if (!answer.ok()) return answer.status();
  M read;
  if (!read.ParseFromString(answer->SerializeAsString())) return absl::InternalError("the answer cannot be read");
  return read;
}

// One event loop, driven by the test's own thread.
class Loop {
 public:
  asio::any_io_executor executor() { return context_.get_executor(); }
  asio::io_context& context() { return context_; }

  // Runs until the coroutine has answered. Other coroutines of the loop go on meanwhile. A minute without an answer is
  // a deadlock and ends the process, since the coroutine's frame still refers to the test.
  template <typename T>
  T Run(asio::awaitable<T> coroutine) {
    std::optional<T> answer;
    asio::co_spawn(context_, std::move(coroutine), [&answer](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      answer.emplace(std::move(value));
    });
    Until([&] { return answer.has_value(); });
    return *std::move(answer);
  }

  // Runs several at once; their answers in order.
  template <typename T>
  std::vector<T> RunAll(std::vector<asio::awaitable<T>> coroutines) {
    std::vector<std::optional<T>> answers(coroutines.size());
    size_t done = 0;
    for (size_t i = 0; i < coroutines.size(); ++i) {
      asio::co_spawn(context_, std::move(coroutines[i]), [&, i](std::exception_ptr error, T value) {
        if (error) std::rethrow_exception(error);
        answers[i].emplace(std::move(value));
        ++done;
      });
    }
    Until([&] { return done == answers.size(); });
    std::vector<T> out;
    for (std::optional<T>& answer : answers) out.push_back(*std::move(answer));
    return out;
  }

  // Runs the loop until the condition holds.
  template <typename Condition>
  void Until(Condition condition, std::chrono::seconds limit = std::chrono::seconds(60)) {
    auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (context_.stopped()) context_.restart();
      context_.run_one_for(std::chrono::milliseconds(100));
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "nothing happened for " << limit.count() << " s";
        std::abort();
      }
    }
  }

  // Lets the loop go on for a while, for what happens in the background.
  void RunFor(std::chrono::milliseconds time) {
    if (context_.stopped()) context_.restart();
    context_.run_for(time);
  }

 private:
  asio::io_context context_{1};
};

// A signed-in user of the tenant who may do everything, with a fresh idempotency key and 10 s.
inline Call TestCall(const Uuid& tenant) {
  Call call;
  call.start = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  call.principal.kind = Principal::Kind::kUser;
  call.principal.tenant = tenant;
  call.principal.user_id = NewId("user", call.start);
  call.principal.session_id = NewId("session", call.start);
  auto rights = std::make_shared<Rights>();
  for (int action = type::v1::Action_MIN; action <= type::v1::Action_MAX; ++action) {
    rights->Grant("*", static_cast<type::v1::Action>(action), type::v1::SCOPE_ALL);
  }
  rights->personal_data = true;
  call.principal.rights = std::move(rights);
  call.method = "crm.test.v1.TestService.Test";
  call.request_id = NewUuid(call.start).ToString();
  call.idempotency_key = NewUuid(call.start).ToString();
  call.body_hash = std::string(32, 'h');
  call.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  return call;
}

inline Uuid NewTenant() { return NewUuid(absl::Now()); }

}  // namespace crm::testing
