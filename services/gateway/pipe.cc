#include "services/gateway/pipe.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <deque>
#include <utility>

#include "common/base/status.h"
#include "common/events/loop.h"

namespace crm::gateway {
namespace pipe {

// Messages wait here, few of them, until they are written.
struct Pipe {
  explicit Pipe(const asio::any_io_executor& loop) : filled(loop), emptied(loop) {}
  static constexpr size_t kMax = 16;

  events::Bell filled, emptied;
  std::deque<std::string> messages;
  bool closed = false;  // by the client
  bool done = false;    // by the server
  absl::Status status;
  asio::cancellation_signal cancel;

  static Async<> Push(std::shared_ptr<Pipe> pipe, absl::StatusOr<std::string> text) {
    CRM_CO_TRY(std::string ready, std::move(text));
    while (pipe->messages.size() >= kMax && !pipe->closed) co_await pipe->emptied.Wait(std::chrono::hours(1));
    if (pipe->closed) co_return absl::CancelledError("the client has gone");
    pipe->messages.push_back(std::move(ready));
    pipe->filled.Ring();
    co_return absl::OkStatus();
  }
};

std::chrono::milliseconds Until(std::chrono::steady_clock::time_point when) {
  return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(when - std::chrono::steady_clock::now()),
                  std::chrono::milliseconds(1));
}

}  // namespace pipe

asio::awaitable<void> RunPipe(rpc::Client& peer, rpc::RawCall raw, StreamForm form, std::shared_ptr<Recheck> recheck,
                              StreamSink& sink) {
  using Clock = std::chrono::steady_clock;
  using pipe::Pipe;
  auto pipe = std::make_shared<Pipe>(sink.executor());
  sink.OnClose([weak = std::weak_ptr(pipe)] {
    if (auto alive = weak.lock()) {
      alive->closed = true;
      alive->filled.Ring();
      alive->emptied.Ring();
    }
  });
  auto on_message = [pipe, write = form.message](std::string bytes) { return Pipe::Push(pipe, write(bytes)); };
  asio::co_spawn(
      sink.executor(), peer.StreamRaw(std::move(raw), on_message),
      asio::bind_cancellation_slot(pipe->cancel.slot(), [pipe](std::exception_ptr error, absl::Status status) {
        pipe->done = true;
        pipe->status = error ? absl::InternalError("the stream broke") : std::move(status);
        pipe->filled.Ring();
      }));
  absl::Status end = co_await sink.Write(form.open);
  auto heartbeat = form.heartbeat.empty() ? Clock::time_point::max() : Clock::now() + kHeartbeat;
  auto written = [&] {
    if (!form.heartbeat.empty()) heartbeat = Clock::now() + kHeartbeat;
  };
  while (end.ok() && !pipe->closed) {
    absl::Status allowed;
    if (recheck) allowed = co_await recheck->IfDue();
    if (!allowed.ok()) {
      co_await sink.Write(form.end(allowed));
      break;
    }
    if (!pipe->messages.empty()) {
      std::string text = std::move(pipe->messages.front());
      pipe->messages.pop_front();
      pipe->emptied.Ring();
      end = co_await sink.Write(std::move(text));
      written();
      continue;
    }
    if (pipe->done) {
      co_await sink.Write(form.end(pipe->status));
      break;
    }
    if (Clock::now() >= heartbeat) {
      end = co_await sink.Write(form.heartbeat);
      written();
    }
    auto until = recheck ? std::min(heartbeat, recheck->due()) : heartbeat;
    co_await pipe->filled.Wait(until == Clock::time_point::max() ? std::chrono::hours(1) : pipe::Until(until));
  }
  pipe->closed = true;
  pipe->emptied.Ring();
  if (!pipe->done) pipe->cancel.emit(asio::cancellation_type::terminal);
  while (!pipe->done) co_await pipe->filled.Wait(std::chrono::hours(1));
}

}  // namespace crm::gateway
