// What the server keeps of its methods, loops and calls. Not for others than server.cc and server_call.cc.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <array>
#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/obs/metrics.h"
#include "common/rpc/admission.h"
#include "common/rpc/refusals.h"
#include "common/rpc/served_call.h"
#include "common/rpc/server.h"
#include "common/rpc/shedding.h"

namespace crm::rpc::server_internal {

using Clock = std::chrono::steady_clock;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Everything about a method that need not be worked out per call.
struct Method {
  const Service::Method* handler = nullptr;
  std::string full_name;  // "crm.contact.v1.ContactService.GetContact"
  type::v1::Access access;
  bool streams = false;
  bool reads = false;                           // NO_SIDE_EFFECTS
  const FieldDescriptor* request_id = nullptr;  // of the request
  const FieldDescriptor* etag = nullptr;
  // Made at the first answer with that code: most rpcs only ever use a few.
  mutable std::array<std::atomic<const obs::Counter*>, kCodes> by_code{};
  std::optional<obs::Histogram> seconds;
  std::optional<obs::Counter> lost_races;
  // What its handler takes, on average of the last dozen. Loops may overwrite each other's news.
  mutable std::atomic<int64_t> typical_ns{0};

  explicit Method(std::string name) : full_name(std::move(name)) {
    seconds = obs::MakeHistogram("crm_rpc_seconds", "Time from a call's arrival to its answer", {{"rpc", full_name}});
    lost_races =
        obs::MakeCounter("crm_rpc_lost_races_total", "Handlers run again after a lost race", {{"rpc", full_name}});
  }
  ~Method() {
    for (auto& counter : by_code) delete counter.load();
  }

  Clock::duration typical() const { return std::chrono::nanoseconds(typical_ns.load(std::memory_order_relaxed)); }
  void Took(Clock::duration time) const {
    const int64_t was = typical_ns.load(std::memory_order_relaxed);
    const int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
    typical_ns.store(was == 0 ? now : was + (now - was) / 16, std::memory_order_relaxed);
  }

  void Count(absl::StatusCode code) const {
    const auto i = static_cast<size_t>(code) % kCodes;
    const obs::Counter* counter = by_code[i].load(std::memory_order_acquire);
    if (counter == nullptr) {
      auto* made = new obs::Counter(
          obs::MakeCounter("crm_rpc_requests_total", "Calls answered", {{"rpc", full_name}, {"code", CodeName(code)}}));
      if (by_code[i].compare_exchange_strong(counter, made, std::memory_order_acq_rel)) {
        counter = made;
      } else {
        delete made;  // another thread was first; both stand for the same metric
      }
    }
    counter->Add();
  }
};

class Reactor;

// What one event loop keeps: who may begin and who waits, and its calls under way, looked through for late ones. Touched on
// its loop only.
struct Shard : std::enable_shared_from_this<Shard> {
  Shard(asio::any_io_executor e, int in_flight_max, Authenticator& authenticator)
      : executor(std::move(e)),
        timer(executor),
        services_max(in_flight_max),
        admission([in_flight_max] {
          Admission::Limits limits;
          limits.in_flight_max = in_flight_max;
          return limits;
        }()),
        tenants(authenticator) {}
  asio::any_io_executor executor;
  asio::steady_timer timer;
  bool armed = false, pumping = false;
  std::list<Reactor*> calls;
  const int services_max;
  int services = 0;     // calls of other services under way
  Admission admission;  // of users'
  TokenTenants tenants;
  ShedLog shed_log;

  void Arm();
  void Sweep();
  void PumpSoon();
};

// Lives as long as a call of the server is open; a handler may outlast it.
struct Core {
  Core(ServerOptions o, Authenticator& a) : options(std::move(o)), authenticator(a) {}
  const ServerOptions options;
  Authenticator& authenticator;
  std::vector<std::shared_ptr<Shard>> shards;
  std::vector<std::unique_ptr<Service>> services;
  absl::flat_hash_map<std::string, std::unique_ptr<Method>> methods;  // by path
  Method unknown{"unknown"};
  std::atomic<uint64_t> next_shard{0};
  std::atomic<int> in_flight{0};  // and waiting
  std::atomic<int> waiting{0};
  std::atomic<int> streams{0};
  std::atomic<bool> draining{false};
  std::atomic<bool> serving{false};  // what the health service says
  obs::Gauge in_flight_gauge = obs::MakeGauge("crm_rpc_in_flight", "Unary calls being served");
  obs::Gauge in_flight_max_gauge =
      obs::MakeGauge("crm_rpc_in_flight_max", "Unary calls that may be served for users at once");
  obs::Gauge waiting_gauge = obs::MakeGauge("crm_rpc_waiting", "Unary calls waiting for their turn");
  obs::Gauge streams_gauge = obs::MakeGauge("crm_rpc_streams", "Streams open");
  ShedMetrics shed;

  Shard& ShardOf(const asio::any_io_executor& executor) const {
    for (const auto& shard : shards) {
      if (shard->executor == executor) return *shard;
    }
    return *shards.front();
  }
};

// A call has arrived in full; on its connection's loop.
void Take(const std::shared_ptr<Core>& core, std::shared_ptr<wire::ServedCall> wire);

}  // namespace crm::rpc::server_internal
