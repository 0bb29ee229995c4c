// The inside of a subscription; only for the files that implement it: consumer.cc (turns, heads, begin and end),
// apply.cc (one lane's work) and replay.cc (dead letters).
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/events/loop.h"
#include "common/events/share.h"
#include "common/events/subscription.h"
#include "common/events/tail.h"
#include "common/obs/metrics.h"

namespace crm::events {

namespace hearing {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBatchTimeout{10'000};
constexpr milliseconds kHeadsWhenDeaf{1000};  // how often the producer is asked while Redis is away
constexpr size_t kPendingMax = 1000;          // events of one tenant held; what comes beyond is fetched later
constexpr size_t kHeldMax = 50'000;           // ... and of all tenants

// An error of the surroundings, not of the event: tried again for as long as it lasts, and not counted.
bool IsOutage(const absl::Status& status);
// What may stand in a text column.
std::string ErrorText(const absl::Status& status);

struct Attempt {
  uint64_t seq = 0;
  int count = 0;  // begun so far
  std::string error;
};

// One tenant's events of the producer. Owned by the loop; while `running`, by its coroutine.
struct Lane {
  Uuid tenant;
  bool known = false;   // `position` is from the database, maybe of an earlier load
  bool loaded = false;  // position, attempts and parked records are as in the database
  bool fresh = true;    // nothing has been applied by this process yet
  bool queued = false;
  bool running = false;
  uint64_t position = 0;  // the last number applied
  uint64_t head = 0;      // the largest number heard of
  std::map<uint64_t, std::string> pending;
  absl::flat_hash_set<std::string> parked;
  std::map<uint64_t, Attempt> attempts;
  // The attempt that this process has begun and not seen the end of. If an outage ends it, it is no attempt: what the database
  // has counted is taken back, or else stands for the next one.
  struct Trial {
    uint64_t seq = 0;
    int before = 0;  // attempts that the database knew
    bool counted = false;
  };
  std::optional<Trial> trial;
  int group = 1;                              // effects in the next transaction
  int outages = 0;                            // in a row
  std::unique_ptr<asio::steady_timer> pause;  // set while it waits to be tried again

  bool Behind() const { return head > position || !pending.empty(); }
};

// One event on its way into a batch.
struct Letter {
  uint64_t seq = 0;
  const std::string* bytes = nullptr;
  bool readable = false;
  v1::Event event;
  Call call;
};

}  // namespace hearing

class SubscriptionImpl final : public Subscription, public std::enable_shared_from_this<SubscriptionImpl> {
 public:
  SubscriptionImpl(pg::Db& db, pg::Db& worker_db, redis::Client& redis, std::unique_ptr<Source> source,
                   ConsumerOptions options)
      : db_(db),
        worker_db_(worker_db),
        redis_(redis),
        source_(std::move(source)),
        options_(std::move(options)),
        share_(worker_db_, options_.service, options_.producer, options_.holder, options_.lease),
        tail_(redis_, TailOptions{{options_.producer}, std::vector<int>{}}),
        applied_(Count("crm_events_applied_total", "Events that have taken effect, or had none")),
        dropped_(Count("crm_events_dropped_total", "Events seen before")),
        fetched_(Count("crm_events_fetched_total", "Events fetched from the producer rather than from Redis")),
        retried_(Count("crm_events_retried_total", "Effects that failed and were tried again")),
        dead_(Count("crm_events_dead_total", "Events put aside after all attempts")),
        parked_(Count("crm_events_parked_total", "Events put aside behind a dead one of their record")),
        lag_(obs::MakeGauge("crm_events_lag", "Events that the producer has numbered and we have not applied",
                            {{"producer", options_.producer}})),
        delay_(obs::MakeHistogram("crm_events_apply_delay_seconds", "From an event's request to its effect",
                                  {{"producer", options_.producer}})) {}

  // ---- registration, before Run ----

  void AfterCommit(std::function<void(const v1::Event&)> listener) override {
    listeners_.push_back(std::move(listener));
  }
  void Add(std::string payload_type, Effect effect) override {
    effects_[std::move(payload_type)].push_back(std::move(effect));
  }
  const std::string& producer() const override { return options_.producer; }

  // ---- running ----

  Async<> Run() override;
  void Stop() override {
    std::lock_guard lock(mutex_);
    stop_asked_ = true;
    if (!executor_) return;
    asio::post(executor_, [self = shared_from_this()] { self->BeginStop(); });
  }
  void CheckHeads() override {
    std::lock_guard lock(mutex_);
    if (!executor_) return;
    asio::post(executor_, [self = shared_from_this()] { self->AskHeads(); });
  }

  Async<v1::DeadLetter> Replay(const Call& call, uint64_t seq) override;

 private:
  using Lane = hearing::Lane;
  using Letter = hearing::Letter;
  using milliseconds = std::chrono::milliseconds;

  obs::Counter Count(const char* name, const char* help) const {
    return obs::MakeCounter(name, help, {{"producer", options_.producer}});
  }

  // Lanes and their turns.
  bool Mine(const Uuid& tenant) const { return share_.Has(ShardOf(tenant)); }
  Lane& LaneOf(const Uuid& tenant);
  void Heard(std::string event);
  void Forget(Lane& lane, uint64_t last);  // the events held, up to this number
  void Queue(Lane& lane);
  void StartLanes();
  void Pause(Lane& lane, milliseconds time);
  void BeginStop();
  static asio::awaitable<void> RunLane(std::shared_ptr<SubscriptionImpl> self, Lane* lane);

  // One lane's work.
  Async<> Load(Lane& lane);
  Async<> Fetch(Lane& lane);
  Async<> ApplyNext(Lane& lane);
  asio::awaitable<absl::StatusOr<std::vector<pg::Batch::Item>>> Effects(Letter& letter, bool* waited);
  Async<int> CountAttempt(Lane& lane, uint64_t seq, int more, const std::string& error);
  Async<> Bury(Lane& lane, const Letter& letter, int attempts, const std::string& error);
  void Failed(Lane& lane, const absl::Status& status);
  Letter Open(const Uuid& tenant, uint64_t seq, const std::string& bytes) const;
  void Announce(const v1::Event& event);

  // Heads.
  void AskHeads() {
    heads_now_ = true;
    if (heads_bell_) heads_bell_->Ring();
  }
  void DoubtAfterLosses();
  static asio::awaitable<void> WatchHeads(std::shared_ptr<SubscriptionImpl> self);
  Async<> CheckHeadsOnce(bool patient);
  static asio::awaitable<void> KeepShare(std::shared_ptr<SubscriptionImpl> self);

  static Async<v1::DeadLetter> ReplayHere(std::shared_ptr<SubscriptionImpl> self, Call call, uint64_t seq);
  Async<> ReplayOne(const Call& call, uint64_t seq, const std::string& bytes, bool* effect_failed);

  pg::Db& db_;
  pg::Db& worker_db_;
  redis::Client& redis_;
  std::unique_ptr<Source> source_;
  const ConsumerOptions options_;
  Share share_;
  Tail tail_;
  std::map<std::string, std::vector<Effect>> effects_;  // of one payload type, in the order of registration
  std::vector<std::function<void(const v1::Event&)>> listeners_;

  std::mutex mutex_;
  asio::any_io_executor executor_;  // empty unless running
  bool stop_asked_ = false;

  bool stopping_ = false;
  std::unique_ptr<Bell> heads_bell_, share_bell_, end_bell_;
  bool heads_now_ = true;
  hearing::steady_clock::time_point reseek_at_{};
  uint64_t losses_ = 0;  // of connections to the database, when the lanes were last taken for true
  int tasks_ = 0;
  absl::flat_hash_map<Uuid, std::unique_ptr<Lane>> lanes_;
  size_t held_ = 0;  // events in all lanes' `pending`
  std::deque<Lane*> ready_;
  int running_ = 0;
  std::set<std::string> reading_types_;  // payload types whose effect has been seen to wait for something

  obs::Counter applied_, dropped_, fetched_, retried_, dead_, parked_;
  obs::Gauge lag_;
  obs::Histogram delay_;
};

}  // namespace crm::events
