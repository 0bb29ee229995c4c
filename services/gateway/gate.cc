#include "services/gateway/gate.h"

#include <absl/container/node_hash_map.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "common/obs/metrics.h"
#include "common/rpc/shedding.h"

namespace crm::gateway {

namespace shedding = rpc::server_internal;

namespace gate {

using Clock = std::chrono::steady_clock;

// How often what waits is looked through for what waits in vain.
constexpr auto kSweepEvery = std::chrono::milliseconds(50);
// Before its deadline, so that the refusal still reaches its client.
constexpr auto kBeforeDeadline = std::chrono::milliseconds(100);
// What a kind's time is averaged over, about.
constexpr int kTypicalOf = 16;

rpc::Admission::Limits LimitsOf(int in_flight_max) {
  rpc::Admission::Limits limits;
  limits.in_flight_max = in_flight_max;
  return limits;
}

struct Metrics {
  shedding::ShedMetrics shed;
  std::atomic<int> in_flight{0}, waiting{0};
  obs::Gauge in_flight_gauge = obs::MakeGauge("crm_gateway_in_flight", "Requests under way to services");
  obs::Gauge waiting_gauge = obs::MakeGauge("crm_gateway_waiting", "Requests waiting for their turn");
};

struct Waiter final : rpc::Admission::Waiter {
  explicit Waiter(const asio::any_io_executor& loop) : told(loop, Clock::time_point::max()) {}
  void Begin(rpc::Admission::Duration waited_for) override {
    begun = true;
    waited = waited_for;
    told.cancel();
  }
  void Refuse(rpc::Admission::Why reason) override {
    why = reason;
    told.cancel();
  }
  // Nobody listens to a connection while it waits for an answer.
  bool gone() const override { return false; }

  asio::steady_timer told;  // never runs out: whoever has the news cancels it
  bool begun = false;
  rpc::Admission::Duration waited{0};
  rpc::Admission::Why why = rpc::Admission::Why::kDeadline;
};

}  // namespace gate

// Of one service.
struct Gate::Queue {
  explicit Queue(int in_flight_max) : admission(gate::LimitsOf(in_flight_max)) {}
  rpc::Admission admission;
  absl::node_hash_map<std::string, Duration> typical;  // by kind
  bool pumping = false;
};

// Of one loop, and touched there only.
struct Gate::Shard : std::enable_shared_from_this<Gate::Shard> {
  Shard(asio::any_io_executor e, int max, std::shared_ptr<gate::Metrics> m)
      : loop(std::move(e)), timer(loop), in_flight_max(max), metrics(std::move(m)) {}

  Queue& QueueOf(absl::string_view service) {
    auto it = queues.find(service);
    if (it == queues.end()) it = queues.emplace(std::string(service), in_flight_max).first;
    return it->second;
  }
  void Count(rpc::Admission::Why why) {
    const auto shed = shedding::ShedOf(why);
    metrics->shed.refused[static_cast<size_t>(shed)].Add();
    log.Add(shed);
    Arm();
  }
  void Arm() {
    if (std::exchange(armed, true)) return;
    timer.expires_after(gate::kSweepEvery);
    timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      auto self = weak.lock();
      if (error || !self) return;
      self->armed = false;
      self->Sweep();
    });
  }
  void Sweep() {
    const auto now = gate::Clock::now();
    const Queue* fullest = nullptr;
    for (auto& [service, queue] : queues) {
      queue.admission.Expire(now);
      if (!fullest || queue.admission.waiting() > fullest->admission.waiting()) fullest = &queue;
    }
    log.Flush(now, fullest ? fullest->admission.longest() : std::string());
    if ((fullest && fullest->admission.waiting() > 0) || !log.empty()) Arm();
  }
  // In a turn of the loop of its own: whoever ends a request is not to run another within it.
  void PumpSoon(Queue& queue) {
    if (std::exchange(queue.pumping, true)) return;
    asio::post(loop, [self = shared_from_this(), &queue] {
      queue.pumping = false;
      queue.admission.Pump(gate::Clock::now());
    });
  }

  const asio::any_io_executor loop;
  asio::steady_timer timer;
  const int in_flight_max;
  bool armed = false;
  absl::node_hash_map<std::string, Queue> queues;  // by service
  shedding::ShedLog log;
  const std::shared_ptr<gate::Metrics> metrics;
};

Gate::Place& Gate::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  Leave();
  shard_ = std::move(other.shard_);
  queue_ = other.queue_;
  typical_ = other.typical_;
  begun_ = other.begun_;
  done_ = other.done_;
  return *this;
}

void Gate::Place::Leave() {
  const auto shard = std::move(shard_);
  if (!shard) return;
  shard->metrics->in_flight.fetch_sub(1, std::memory_order_relaxed);
  if (done_) {
    const Duration took = gate::Clock::now() - begun_;
    *typical_ = *typical_ == Duration(0) ? took : *typical_ + (took - *typical_) / gate::kTypicalOf;
  }
  if (queue_->admission.End()) shard->PumpSoon(*queue_);
}

Gate::Gate(int in_flight_max, std::vector<asio::any_io_executor> loops) {
  if (in_flight_max <= 0) in_flight_max = kInFlightMax;
  const int count = std::max<int>(1, static_cast<int>(loops.size()));
  const int each = std::max(1, (in_flight_max + count - 1) / count);
  auto metrics = std::make_shared<gate::Metrics>();
  for (auto& loop : loops) shards_.push_back(std::make_shared<Shard>(std::move(loop), each, metrics));
  obs::BeforeExposition([weak = std::weak_ptr<gate::Metrics>(metrics)] {
    if (auto alive = weak.lock()) {
      alive->in_flight_gauge.Set(alive->in_flight.load());
      alive->waiting_gauge.Set(alive->waiting.load());
    }
  });
}

Gate::Shard& Gate::ShardOf(const asio::any_io_executor& loop) const {
  for (const auto& shard : shards_) {
    if (shard->loop == loop) return *shard;
  }
  return *shards_.front();
}

Async<Gate::Place> Gate::Enter(const Ask& ask, absl::FunctionRef<std::string()> tenant) {
  const auto executor = co_await asio::this_coro::executor;
  auto shard = ShardOf(executor).shared_from_this();
  Queue& queue = shard->QueueOf(ask.service);
  auto kind = queue.typical.find(ask.kind);
  if (kind == queue.typical.end()) kind = queue.typical.emplace(std::string(ask.kind), Duration(0)).first;
  Duration* const typical = &kind->second;
  if (!queue.admission.Begin()) {
    const auto now = gate::Clock::now();
    const rpc::Admission::Ask wanted{ask.deadline, *typical, ask.bytes};
    const std::string who = tenant();
    auto why = rpc::Admission::Why::kDeadline;
    if (!queue.admission.MayWait(who, wanted, now, why)) {
      shard->Count(why);
      co_return shedding::RefusalStatus();
    }
    auto waiter = std::make_shared<gate::Waiter>(executor);
    queue.admission.Wait(who, wanted, now, waiter);
    shard->Arm();
    shard->metrics->waiting.fetch_add(1, std::memory_order_relaxed);
    co_await waiter->told.async_wait(asio::as_tuple(asio::use_awaitable));
    shard->metrics->waiting.fetch_sub(1, std::memory_order_relaxed);
    if (!waiter->begun) {
      shard->Count(waiter->why);
      co_return shedding::RefusalStatus();
    }
    shard->metrics->shed.wait_seconds.Observe(waiter->waited);
  }
  shard->metrics->in_flight.fetch_add(1, std::memory_order_relaxed);
  Place place;
  place.shard_ = std::move(shard);
  place.queue_ = &queue;
  place.typical_ = typical;
  place.begun_ = gate::Clock::now();
  co_return place;
}

std::chrono::milliseconds Gate::PauseUntil(Time deadline) {
  const auto left = deadline - gate::Clock::now() - gate::kBeforeDeadline;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::clamp<Duration>(left, Duration(0), kPause));
}

}  // namespace crm::gateway
