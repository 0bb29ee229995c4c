// Which requests the gateway begins, which wait and which it refuses, before anything but their heads is looked at. As
// in the services (rpc::Admission), for each service and event loop: so many under way, the others wait a quarter of a
// second at most, each tenant in a line of its own, and what could not be answered in time is refused. A service that
// hangs holds up only what is asked of it.
//
// Whoever is refused is answered after a pause. A connection has one request at a time, so a flood is held back where it
// comes from, unread, and what refusing it costs is bounded by its connections.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/strings/string_view.h>

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/rpc/admission.h"

namespace crm::gateway {

class Gate {
  struct Shard;
  struct Queue;

 public:
  using Time = rpc::Admission::Time;
  using Duration = rpc::Admission::Duration;
  // Until a refusal is said. Nearly as long as the longest delay that it names (1 s), so that who comes back at once
  // comes no oftener than who does as it is told; and less than the patience of most clients, whose next connection would
  // cost more than the answer.
  static constexpr auto kPause = std::chrono::milliseconds(1000);
  // Requests under way to one service, if the configuration says nothing else: as many as it serves itself.
  static constexpr int kInFlightMax = 256;

  // One of those under way, until it is destroyed, which is on its loop.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept = default;
    Place& operator=(Place&& other) noexcept;
    ~Place() { Leave(); }
    // It was answered, not refused: others of its kind will take about as long.
    void Done() { done_ = true; }

   private:
    friend class Gate;
    void Leave();
    std::shared_ptr<Shard> shard_;
    Queue* queue_ = nullptr;
    Duration* typical_ = nullptr;
    Time begun_;
    bool done_ = false;
  };

  struct Ask {
    absl::string_view service;  // whom it goes to; empty: several, or none
    absl::string_view kind;     // its like take about as long: the rpc
    Time deadline = Time::max();
    size_t bytes = 0;  // that it holds while it waits
  };

  Gate(int in_flight_max, std::vector<asio::any_io_executor> loops);

  // A place, at once or after a while; UNAVAILABLE with OVERLOADED and a retry delay if there is none in time. `tenant`
  // is asked for only if there are more than may begin: whoever it names waits in one line.
  Async<Place> Enter(const Ask& ask, absl::FunctionRef<std::string()> tenant);
  // The pause before a refusal is said: not beyond the time that its client may wait.
  static std::chrono::milliseconds PauseUntil(Time deadline);

 private:
  Shard& ShardOf(const asio::any_io_executor& loop) const;

  std::vector<std::shared_ptr<Shard>> shards_;
};

}  // namespace crm::gateway
