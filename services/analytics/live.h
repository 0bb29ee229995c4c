// Reports that are watched: computed anew when an event of the tenant has been applied.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/message.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/base/status.h"
#include "common/events/consumer.h"
#include "common/events/loop.h"
#include "common/pg/db.h"
#include "common/rpc/service.h"

namespace crm::analytics {

// Who waits for changes of which tenant. Thread-safe.
class Live {
 public:
  // Rings for the tenant of every event that this consumer has applied.
  void Listen(events::Consumer& consumer);
  void Changed(const Uuid& tenant);

  // One waiting coroutine, on its own loop. What happens between two waits ends the next one at once.
  class Watcher {
   public:
    Watcher(Live& live, const Uuid& tenant, asio::any_io_executor executor);
    ~Watcher();
    // True if something has changed, false if the time has passed.
    asio::awaitable<bool> Wait(std::chrono::milliseconds time);

   private:
    friend class Live;
    struct State {
      explicit State(asio::any_io_executor e) : executor(std::move(e)), bell(executor) {}
      const asio::any_io_executor executor;
      events::Bell bell;
      std::atomic<bool> changed{false};
    };
    Live& live_;
    const Uuid tenant_;
    std::shared_ptr<State> state_;
  };

  size_t watcher_count() const;

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_map<Uuid, std::vector<std::shared_ptr<Watcher::State>>> watchers_;
};

// How often a watched report is sent at most.
inline constexpr std::chrono::milliseconds kWatchEvery{100};
// How often the position is looked at when nothing was heard: another replica may have applied the event.
inline constexpr std::chrono::milliseconds kWatchLook{1000};
// How soon a stream notices that its reader has gone.
inline constexpr std::chrono::milliseconds kWatchGone{250};
// What one computation of a watched report gets.
inline constexpr std::chrono::milliseconds kWatchTimeout{10000};

// A call of the stream's caller at the present moment.
Call CallNow(const Call& call);

// How far the projections are, as reports say it.
Async<std::string> PositionNow(pg::Db& db, const Call& call);

// Sends `make`'s report at once, and again whenever it has become another: at most every kWatchEvery, and after no more
// than kWatchLook. Two reports that differ in their position alone are the same.
template <typename Report>
Async<> Watch(Live& live, pg::Db& db, const Call& call, rpc::Stream<Report>& stream,
              std::function<Async<Report>(const Call&)> make) {
  using std::chrono::steady_clock;
  Live::Watcher watcher(live, call.tenant(), co_await asio::this_coro::executor);
  std::string shown;
  for (bool first = true;; first = false) {
    const auto begun = steady_clock::now();
    const Call now = CallNow(call);
    CRM_CO_TRY(Report report, co_await make(now));
    const std::string position = report.position();
    report.clear_position();
    std::string content = report.SerializeAsString();
    if (first || content != shown) {
      report.set_position(position);
      CRM_CO_TRY(co_await stream.Send(report));
      shown = std::move(content);
    }
    // Until there is reason to compute it again.
    for (auto look = begun + kWatchLook;;) {
      if (stream.cancelled() || steady_clock::now() >= call.deadline) co_return absl::OkStatus();
      if (co_await watcher.Wait(kWatchGone)) break;
      if (steady_clock::now() < look) continue;
      const Call looking = CallNow(call);
      CRM_CO_TRY(std::string reached, co_await PositionNow(db, looking));
      if (reached != position) break;
      look = steady_clock::now() + kWatchLook;
    }
    // What comes in this moment goes into one answer.
    events::Bell pause(co_await asio::this_coro::executor);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(begun + kWatchEvery - steady_clock::now());
    if (left.count() > 0) co_await pause.Wait(left);
  }
}

}  // namespace crm::analytics
