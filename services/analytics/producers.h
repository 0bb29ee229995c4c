// The services whose events are projected: asked by recounts for all that they ever told, and, beside reports, for how
// far they are.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/id.h"
#include "common/events/subscription.h"
#include "services/analytics/store.h"

namespace crm::analytics {

class Producers {
 public:
  using Sources = std::map<std::string, std::unique_ptr<events::Source>>;
  explicit Producers(Sources sources);
  // Their event logs over gRPC; the clients outlive it.
  static Sources Of(const std::map<std::string, rpc::Client*>& peers);

  // Whether a producer is known to be ahead of these positions. Answers at once from what was last heard, false when
  // nothing was; asks anew in the background at most once a second and tenant, on the caller's loop.
  asio::awaitable<bool> Ahead(Uuid tenant, Positions positions);

  // The next of a producer's events of the tenant, in order, after one number and up to another: some, or DATA_LOSS if
  // the producer does not have them any more.
  Async<std::vector<events::v1::Event>> Next(const Call& call, std::string producer, uint64_t after, uint64_t up_to);

 private:
  struct Known {
    std::map<std::string, uint64_t> heads;
    std::chrono::steady_clock::time_point asked{};
  };
  struct State {
    Sources sources;
    std::mutex mutex;
    absl::flat_hash_map<Uuid, Known> known;
  };
  static asio::awaitable<void> Ask(std::shared_ptr<State> state, Uuid tenant);

  std::shared_ptr<State> state_;  // a question under way outlives its asker
};

}  // namespace crm::analytics
