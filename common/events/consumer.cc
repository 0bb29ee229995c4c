#include <absl/strings/str_cat.h>

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <optional>

#include "common/events/consumer_impl.h"
#include "common/events/wire.h"
#include "common/obs/log.h"

namespace crm::events {

namespace hearing {

constexpr milliseconds kHeadsTimeout{10'000};
constexpr milliseconds kStreamPatience{250};  // how long a head may be ahead of the stream before we fetch
constexpr milliseconds kReseekEvery{30'000};
constexpr size_t kLanesMax = 200'000;  // tenants remembered; idle ones are forgotten beyond

const pg::Statement kLoadPositions{
    "events.load_positions",
    "SELECT tenant_id, seq FROM position WHERE producer = $1 AND tenant_id = ANY ($2::uuid[])"};

}  // namespace hearing

// ---- lanes and their turns ----

hearing::Lane& SubscriptionImpl::LaneOf(const Uuid& tenant) {
  std::unique_ptr<Lane>& lane = lanes_[tenant];
  if (!lane) {
    lane = std::make_unique<Lane>();
    lane->tenant = tenant;
  }
  return *lane;
}

void SubscriptionImpl::Heard(std::string event) {
  absl::StatusOr<EventKey> key = KeyOf(event);
  if (!key.ok()) {
    obs::Log(obs::Level::kError, "an entry of the stream is no event",
             {{"producer", options_.producer}, {"error", Brief(key.status())}});
    return;
  }
  if (!Mine(key->tenant)) return;
  Lane& lane = LaneOf(key->tenant);
  if (lane.known && key->seq <= lane.position) {
    dropped_.Add();
    return;
  }
  lane.head = std::max(lane.head, key->seq);
  if (lane.pending.size() < hearing::kPendingMax && held_ < hearing::kHeldMax) {
    if (lane.pending.emplace(key->seq, std::move(event)).second) {
      ++held_;
    } else {
      dropped_.Add();
    }
  }
  const bool idle = !lane.queued && !lane.running && !lane.pause;
  if (idle && lane.loaded && !lane.fresh) {
    Pause(lane, options_.gather);
  } else {
    Queue(lane);
  }
}

void SubscriptionImpl::Forget(Lane& lane, uint64_t last) {
  auto end = lane.pending.upper_bound(last);
  held_ -= static_cast<size_t>(std::distance(lane.pending.begin(), end));
  lane.pending.erase(lane.pending.begin(), end);
}

void SubscriptionImpl::Queue(Lane& lane) {
  if (lane.queued || lane.running || lane.pause || stopping_) return;
  lane.queued = true;
  ready_.push_back(&lane);
  StartLanes();
}

void SubscriptionImpl::StartLanes() {
  while (!ready_.empty() && running_ < options_.lanes_at_once && !stopping_) {
    Lane* lane = ready_.front();
    ready_.pop_front();
    lane->queued = false;
    lane->running = true;
    ++running_;
    asio::co_spawn(executor_, RunLane(shared_from_this(), lane),
                   [self = shared_from_this(), lane](std::exception_ptr failed) {
                     --self->running_;
                     lane->running = false;
                     if (failed) {
                       obs::Log(obs::Level::kError, "applying a lane threw",
                                {{"producer", self->options_.producer}, {"tenant", TypeId("tenant", lane->tenant)}});
                       lane->loaded = false;
                       self->Pause(*lane, hearing::kHeadsWhenDeaf);
                     }
                     if (lane->Behind()) self->Queue(*lane);  // heard since its coroutine looked last
                     self->StartLanes();
                     if (self->stopping_) self->end_bell_->Ring();
                   });
  }
}

void SubscriptionImpl::Pause(Lane& lane, milliseconds time) {
  if (stopping_) return;
  lane.pause = std::make_unique<asio::steady_timer>(executor_, time);
  lane.pause->async_wait([weak = weak_from_this(), lane = &lane](boost::system::error_code error) {
    auto self = weak.lock();
    if (error || !self) return;
    lane->pause.reset();
    self->Queue(*lane);
  });
}

asio::awaitable<void> SubscriptionImpl::RunLane(std::shared_ptr<SubscriptionImpl> self, Lane* lane) {
  bool waited = false;  // for a skipped number
  while (!self->stopping_ && !lane->pause) {
    if (!self->Mine(lane->tenant)) {  // another replica's now; asked of the database again if it comes back
      self->Forget(*lane, UINT64_MAX);
      lane->head = lane->position;
      lane->loaded = lane->known = false;
      lane->fresh = true;
      lane->trial.reset();
      co_return;
    }
    absl::Status status;
    if (!lane->loaded) status = co_await self->Load(*lane);
    if (status.ok()) {
      self->Forget(*lane, lane->position);
      if (!lane->Behind()) co_return;
      bool next_here = !lane->pending.empty() && lane->pending.begin()->first == lane->position + 1;
      if (next_here) {
        waited = false;
        status = co_await self->ApplyNext(*lane);
      } else if (!lane->pending.empty() && !waited) {
        // Two relays of the producer may have published in another order than they numbered.
        waited = true;
        Bell patience(self->executor_);
        co_await patience.Wait(self->options_.gap_patience);
      } else {
        waited = false;
        status = co_await self->Fetch(*lane);
      }
    }
    if (!status.ok()) self->Failed(*lane, status);
  }
}

// The surroundings failed; what an event itself is to blame for has been counted by ApplyNext.
void SubscriptionImpl::Failed(Lane& lane, const absl::Status& status) {
  lane.loaded = false;
  if (lane.outages == 0) {
    obs::Log(obs::Level::kWarning, "a lane waits",
             {{"producer", options_.producer}, {"tenant", TypeId("tenant", lane.tenant)}, {"error", Brief(status)}});
  }
  milliseconds time = std::min(options_.retry_min * (1 << std::min(lane.outages, 10)), hearing::kHeadsWhenDeaf);
  ++lane.outages;
  Pause(lane, Jitter(time / 2, time));
}

// ---- heads ----

// A database that crashed may have forgotten the newest of what was committed asynchronously, effect and position alike:
// what lanes remember of it is asked of the database again.
void SubscriptionImpl::DoubtAfterLosses() {
  if (losses_ == db_.losses()) return;
  losses_ = db_.losses();
  for (auto& [tenant, lane] : lanes_) lane->loaded = lane->known = false;
}

// Asks the producer how far its lanes are. `patient`: what Redis may still be bringing is given a moment; what did not
// come by then was lost on the way, and the place in the streams is looked up anew.
Async<> SubscriptionImpl::CheckHeadsOnce(bool patient) {
  if (share_.shards().empty()) {
    lag_.Set(0);
    co_return absl::OkStatus();
  }
  DoubtAfterLosses();
  Call call = OwnCall(options_.service, "events.CheckHeads", Uuid{}, hearing::kHeadsTimeout);
  v1::ListHeadsRequest request;
  if (share_.shards().size() < kShards) {
    for (int bucket = 0; bucket < 256; ++bucket) {
      if (share_.Has(bucket % kShards)) request.add_buckets(bucket);
    }
  }
  CRM_CO_TRY(v1::ListHeadsResponse response, co_await source_->ListHeads(call, request));

  std::vector<std::pair<Uuid, uint64_t>> heads;
  std::vector<Uuid> unknown;
  for (const auto& head : response.heads()) {
    absl::StatusOr<Uuid> tenant = ParseId(head.tenant_id(), "tenant", "tenant_id");
    if (!tenant.ok() || !Mine(*tenant)) continue;
    heads.emplace_back(*tenant, head.seq());
    auto lane = lanes_.find(*tenant);
    if (lane == lanes_.end() || !lane->second->known) unknown.push_back(*tenant);
  }
  if (!unknown.empty()) {
    CRM_CO_TRY(pg::Rows rows,
               co_await worker_db_.Read(call, hearing::kLoadPositions,
                                        pg::Params().Text(options_.producer).IdArray(unknown), pg::Work::kList));
    for (const Uuid& tenant : unknown) {
      Lane& lane = LaneOf(tenant);
      if (lane.loaded || lane.running) continue;  // its coroutine knows better
      lane.known = true;
      lane.position = 0;
    }
    for (int i = 0; i < rows.size(); ++i) {
      Lane& lane = LaneOf(rows.Id(i, 0));
      if (!lane.loaded && !lane.running) lane.position = static_cast<uint64_t>(rows.Int(i, 1));
    }
  }

  if (patient) {
    bool behind = std::any_of(heads.begin(), heads.end(), [&](const auto& head) {
      return head.second > std::max(LaneOf(head.first).position, LaneOf(head.first).head);
    });
    if (behind) {
      Bell patience(executor_);
      co_await patience.Wait(hearing::kStreamPatience);
    }
  }
  bool lost = false;
  double lag = 0;
  for (const auto& [tenant, head] : heads) {
    Lane& lane = LaneOf(tenant);
    if (head > lane.position) lag += static_cast<double>(head - lane.position);
    if (head > std::max(lane.position, lane.head) && !lane.running && !lane.queued && !lane.pause) lost = true;
    lane.head = std::max(lane.head, head);
    if (lane.Behind()) Queue(lane);
  }
  lag_.Set(lag);
  auto now = hearing::steady_clock::now();
  if (patient && lost && tail_.listening() && now >= reseek_at_) {
    obs::Log(obs::Level::kWarning, "events did not come by Redis", {{"producer", options_.producer}});
    reseek_at_ = now + hearing::kReseekEvery;
    tail_.Reseek();
  }
  if (lanes_.size() > hearing::kLanesMax) {
    absl::erase_if(lanes_, [](const auto& entry) {
      const Lane& lane = *entry.second;
      return !lane.running && !lane.queued && !lane.pause && !lane.Behind();
    });
  }
  co_return absl::OkStatus();
}

asio::awaitable<void> SubscriptionImpl::WatchHeads(std::shared_ptr<SubscriptionImpl> self) {
  bool failing = false;
  while (!self->stopping_) {
    bool patient = !std::exchange(self->heads_now_, false) && !failing && self->tail_.listening();
    absl::Status status = co_await self->CheckHeadsOnce(patient);
    if (!status.ok() && !failing) {
      obs::Log(obs::Level::kWarning, "the producer's heads cannot be asked",
               {{"producer", self->options_.producer}, {"error", Brief(status)}});
    }
    failing = !status.ok();
    if (self->stopping_) break;
    milliseconds time = self->options_.heads_every;
    if (failing || !self->tail_.listening()) time = std::min(time, hearing::kHeadsWhenDeaf);
    time = Jitter(time - time / 10, time + time / 10);
    co_await self->heads_bell_->Wait(time);
  }
}

asio::awaitable<void> SubscriptionImpl::KeepShare(std::shared_ptr<SubscriptionImpl> self) {
  const milliseconds pause = std::max<milliseconds>(self->options_.lease / 10, milliseconds(50));
  while (!self->stopping_) {
    bool changed = co_await self->share_.Renew();
    if (changed) {
      self->tail_.SetShards(self->share_.shards());  // answers by a gap, which asks for the heads
      self->AskHeads();
    }
    if (self->losses_ != self->db_.losses()) self->AskHeads();
    co_await self->share_bell_->Wait(pause);
  }
  co_await self->share_.Release();
}

// ---- begin and end ----

Async<> SubscriptionImpl::Run() {
  std::shared_ptr<SubscriptionImpl> self = shared_from_this();
  auto executor = co_await asio::this_coro::executor;
  co_await asio::this_coro::throw_if_cancelled(false);
  heads_bell_ = std::make_unique<Bell>(executor);
  share_bell_ = std::make_unique<Bell>(executor);
  end_bell_ = std::make_unique<Bell>(executor);
  {
    std::lock_guard lock(mutex_);
    executor_ = executor;
    stopping_ = stop_asked_;
  }
  auto done = [self](std::exception_ptr failed) {
    if (failed) obs::Log(obs::Level::kError, "a consumer's task threw", {{"producer", self->options_.producer}});
    --self->tasks_;
    self->end_bell_->Ring();
  };
  tasks_ = 3;
  asio::co_spawn(executor, KeepShare(self), done);
  asio::co_spawn(executor, WatchHeads(self), done);
  asio::co_spawn(executor,
                 tail_.Run([self](const std::string&, std::string event) { self->Heard(std::move(event)); },
                           [self] { self->AskHeads(); }),
                 [done](std::exception_ptr failed, absl::Status) { done(failed); });
  while (tasks_ > 0 || running_ > 0) {
    co_await end_bell_->Wait(milliseconds(1000));
    bool cancelled = co_await Cancelled();
    if (cancelled && !stopping_) BeginStop();
  }
  std::lock_guard lock(mutex_);
  executor_ = {};
  co_return absl::OkStatus();
}

void SubscriptionImpl::BeginStop() {
  stopping_ = true;
  for (auto& [tenant, lane] : lanes_) lane->pause.reset();
  tail_.Stop();
  heads_bell_->Ring();
  share_bell_->Ring();
  end_bell_->Ring();
}

// ---- the producer over gRPC ----

namespace {

class RpcSource final : public Source {
 public:
  explicit RpcSource(rpc::Client& client) : client_(client) {}
  Async<v1::ListEventsResponse> ListEvents(const Call& call, const v1::ListEventsRequest& request) override {
    return client_.Unary<v1::ListEventsResponse>(call, "crm.events.v1.EventLog.ListEvents", request);
  }
  Async<v1::ListHeadsResponse> ListHeads(const Call& call, const v1::ListHeadsRequest& request) override {
    return client_.Unary<v1::ListHeadsResponse>(call, "crm.events.v1.EventLog.ListHeads", request);
  }

 private:
  rpc::Client& client_;
};

// Keeps the shared object that its coroutines hold on to.
class SubscriptionHandle final : public Subscription {
 public:
  explicit SubscriptionHandle(std::shared_ptr<SubscriptionImpl> impl) : impl_(std::move(impl)) {}
  Async<> Run() override { return impl_->Run(); }
  void Stop() override { impl_->Stop(); }
  const std::string& producer() const override { return impl_->producer(); }
  Async<v1::DeadLetter> Replay(const Call& call, uint64_t seq) override { return impl_->Replay(call, seq); }
  void CheckHeads() override { impl_->CheckHeads(); }
  void AfterCommit(std::function<void(const v1::Event&)> listener) override { impl_->AfterCommit(std::move(listener)); }

 protected:
  void Add(std::string payload_type, Effect effect) override { impl_->Add(std::move(payload_type), std::move(effect)); }

 private:
  std::shared_ptr<SubscriptionImpl> impl_;
};

}  // namespace

std::unique_ptr<Source> MakeRpcSource(rpc::Client& client) { return std::make_unique<RpcSource>(client); }

std::unique_ptr<Subscription> MakeConsumer(pg::Db& db, pg::Db& worker_db, redis::Client& redis,
                                           std::unique_ptr<Source> source, ConsumerOptions options) {
  return std::make_unique<SubscriptionHandle>(
      std::make_shared<SubscriptionImpl>(db, worker_db, redis, std::move(source), std::move(options)));
}

}  // namespace crm::events
