#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/events/loop.h"
#include "common/events/share.h"
#include "common/events/subscription.h"
#include "common/events/tail.h"
#include "common/events/wire.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/obs/trace.h"

namespace crm::events {

namespace hearing {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBatchTimeout{10'000};
constexpr milliseconds kFetchTimeout{10'000};
constexpr milliseconds kRetryMax{10'000};
constexpr milliseconds kHeadsWhenDeaf{1000};  // how often the producer is asked while Redis is away
constexpr milliseconds kStreamPatience{250};  // how long a head may be ahead of the stream before we fetch
constexpr milliseconds kReseekEvery{30'000};
constexpr int kFetchMax = 500;
constexpr size_t kPendingMax = 1000;   // events of one tenant held; what comes beyond is fetched later
constexpr size_t kLanesMax = 200'000;  // tenants remembered; idle ones are forgotten beyond
constexpr size_t kErrorTextMax = 2000;
constexpr int kReplayPage = 50;

const pg::Statement kRelax{"events.relax_commit", "SELECT set_config('synchronous_commit', 'off', true)"};
const pg::Statement kLoadPosition{"events.load_position",
                                  "SELECT seq FROM position WHERE tenant_id = $1 AND producer = $2"};
const pg::Statement kMakePosition{
    "events.make_position",
    "INSERT INTO position (tenant_id, producer, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING"};
// First in each effect's batch: whoever comes second waits for the row, finds another number and is undone.
const pg::Statement kMovePosition{
    "events.move_position",
    "UPDATE position SET seq = $4::bigint WHERE tenant_id = $1 AND producer = $2 AND seq = "
    "$3::bigint RETURNING seq"};
const pg::Statement kLockPosition{"events.lock_position",
                                  "SELECT seq FROM position WHERE tenant_id = $1 AND producer = $2 FOR UPDATE"};
const pg::Statement kLoadPositions{
    "events.load_positions",
    "SELECT tenant_id, seq FROM position WHERE producer = $1 AND tenant_id = ANY ($2::uuid[])"};

const pg::Statement kLoadAttempt{
    "events.load_attempt",
    "SELECT seq, attempts, error FROM event_attempt WHERE tenant_id = $1 AND producer = $2 ORDER BY seq LIMIT 100"};
const pg::Statement kMarkAttempt{
    "events.mark_attempt",
    "INSERT INTO event_attempt (tenant_id, producer, seq, attempts, error) VALUES ($1, $2, $3, $4, $5) "
    "ON CONFLICT (tenant_id, producer, seq) DO UPDATE SET attempts = excluded.attempts, error = excluded.error"};
const pg::Statement kForgetAttempts{"events.forget_attempts",
                                    "DELETE FROM event_attempt WHERE tenant_id = $1 AND producer = $2 AND seq <= $3"};

const pg::Statement kLoadParked{
    "events.load_parked",
    "SELECT DISTINCT record_id FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND record_id <> ''"};
const pg::Statement kBury{"events.bury",
                          "INSERT INTO dead_letter (tenant_id, producer, seq, record_id, event, attempts, error) "
                          "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"};
// Guarded: when the letters of the record have been replayed meanwhile, the event is not to wait any more.
const pg::Statement kPark{
    "events.park",
    "INSERT INTO dead_letter (tenant_id, producer, seq, record_id, event, attempts, error) "
    "SELECT $1, $2, $3, $4, $5, 0, '' WHERE EXISTS (SELECT 1 FROM dead_letter WHERE tenant_id = $1 "
    "AND producer = $2 AND record_id = $4) RETURNING seq"};

const pg::Statement kLoadLetter{"events.load_letter",
                                "SELECT record_id, event, attempts, error, create_time FROM dead_letter "
                                "WHERE tenant_id = $1 AND producer = $2 AND seq = $3"};
const pg::Statement kFirstLetter{
    "events.first_letter",
    "SELECT seq FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND record_id = $3 ORDER BY seq LIMIT 1"};
const pg::Statement kNextLetters{
    "events.next_letters",
    "SELECT seq, event FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND record_id = "
    "$3 AND seq > $4 ORDER BY seq LIMIT $5::int"};
const pg::Statement kTakeLetter{
    "events.take_letter", "DELETE FROM dead_letter WHERE tenant_id = $1 AND producer = $2 AND seq = $3 RETURNING seq"};
const pg::Statement kBlameLetter{"events.blame_letter",
                                 "UPDATE dead_letter SET attempts = attempts + 1, error = $4 WHERE tenant_id = $1 AND "
                                 "producer = $2 AND seq = $3"};

// An error of the surroundings, not of the event: tried again for as long as it lasts, and not counted.
bool IsOutage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kCancelled ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

// What may stand in a text column.
std::string ErrorText(const absl::Status& status) {
  std::string text = Brief(status).substr(0, kErrorTextMax);
  for (char& c : text) {
    if (c == '\0' || (c & 0x80)) c = '?';
  }
  return text;
}

std::string PayloadType(const v1::Event& event) {
  const std::string& url = event.payload().type_url();
  size_t slash = url.rfind('/');
  return slash == std::string::npos ? url : url.substr(slash + 1);
}

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
  void Add(std::string payload_type, Effect effect) override { effects_[std::move(payload_type)] = std::move(effect); }
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
  Async<> CountAttempt(Lane& lane, uint64_t seq, int attempts, const std::string& error);
  Async<> Bury(Lane& lane, const Letter& letter, int attempts, const std::string& error);
  void Failed(Lane& lane, const absl::Status& status);
  Letter Open(const Uuid& tenant, uint64_t seq, const std::string& bytes) const;
  void Announce(const v1::Event& event);

  // Heads.
  void AskHeads() {
    heads_now_ = true;
    if (heads_bell_) heads_bell_->Ring();
  }
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
  std::map<std::string, Effect> effects_;
  std::vector<std::function<void(const v1::Event&)>> listeners_;

  std::mutex mutex_;
  asio::any_io_executor executor_;  // empty unless running
  bool stop_asked_ = false;

  bool stopping_ = false;
  std::unique_ptr<Bell> heads_bell_, share_bell_, end_bell_;
  bool heads_now_ = true;
  hearing::steady_clock::time_point reseek_at_{};
  int tasks_ = 0;
  absl::flat_hash_map<Uuid, std::unique_ptr<Lane>> lanes_;
  std::deque<Lane*> ready_;
  int running_ = 0;
  std::set<std::string> reading_types_;  // payload types whose effect has been seen to wait for something

  obs::Counter applied_, dropped_, fetched_, retried_, dead_, parked_;
  obs::Gauge lag_;
  obs::Histogram delay_;
};

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
  if (lane.pending.size() < hearing::kPendingMax) {
    if (!lane.pending.emplace(key->seq, std::move(event)).second) dropped_.Add();
  }
  Queue(lane);
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
      lane->pending.clear();
      lane->head = lane->position;
      lane->loaded = lane->known = false;
      lane->fresh = true;
      co_return;
    }
    absl::Status status;
    if (!lane->loaded) status = co_await self->Load(*lane);
    if (status.ok()) {
      lane->pending.erase(lane->pending.begin(), lane->pending.upper_bound(lane->position));
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

// ---- one lane's work ----

Async<> SubscriptionImpl::Load(Lane& lane) {
  Call call = OwnCall(options_.service, "events.Load", lane.tenant, hearing::kBatchTimeout);
  const auto key = [&] { return pg::Params().Id(lane.tenant).Text(options_.producer); };
  pg::Batch batch(call);
  batch.Add(hearing::kLoadPosition, key());
  batch.Add(hearing::kLoadAttempt, key());
  batch.Add(hearing::kLoadParked, key());
  CRM_CO_TRY(std::vector<pg::Rows> results, co_await db_.Read(call, std::move(batch)));
  uint64_t position = 0;
  if (results[0].empty()) {
    pg::Batch make(call);
    make.Add(hearing::kMakePosition, key());
    CRM_CO_TRY(co_await db_.Write(call, std::move(make)));
  } else {
    position = static_cast<uint64_t>(results[0].Int(0, 0));
  }
  lane.attempts.clear();
  for (int i = 0; i < results[1].size(); ++i) {
    auto seq = static_cast<uint64_t>(results[1].Int(i, 0));
    lane.attempts[seq] = {seq, static_cast<int>(results[1].Int(i, 1)), std::string(results[1].Text(i, 2))};
  }
  lane.parked.clear();
  for (int i = 0; i < results[2].size(); ++i) lane.parked.insert(std::string(results[2].Text(i, 0)));
  lane.position = position;
  lane.head = std::max(lane.head, position);
  lane.known = lane.loaded = true;
  co_return absl::OkStatus();
}

Async<> SubscriptionImpl::Fetch(Lane& lane) {
  Call call = OwnCall(options_.service, "events.Fetch", lane.tenant, hearing::kFetchTimeout);
  v1::ListEventsRequest request;
  request.set_tenant_id(TypeId("tenant", lane.tenant));
  request.set_after_seq(lane.position);
  request.set_limit(hearing::kFetchMax);
  absl::StatusOr<v1::ListEventsResponse> response = co_await source_->ListEvents(call, request);
  // A producer that refuses is as good as one that is away.
  if (!response.ok()) co_return absl::UnavailableError(Brief(response.status()));
  lane.outages = 0;
  for (const v1::Event& event : response->events()) {
    if (event.seq() <= lane.position) continue;
    std::string bytes = event.SerializeAsString();
    lane.pending.insert_or_assign(event.seq(), std::move(bytes));
    fetched_.Add();
  }
  lane.head = std::max(lane.head, response->head_seq());
  if (lane.pending.empty() || lane.pending.begin()->first != lane.position + 1) {
    obs::Log(obs::Level::kError, "the producer does not have the event that comes next",
             {{"producer", options_.producer},
              {"tenant", TypeId("tenant", lane.tenant)},
              {"position", lane.position},
              {"head", response->head_seq()}});
    lane.pending.clear();
    lane.head = lane.position;  // until the next heads check
  }
  co_return absl::OkStatus();
}

hearing::Letter SubscriptionImpl::Open(const Uuid& tenant, uint64_t seq, const std::string& bytes) const {
  Letter letter;
  letter.seq = seq;
  letter.bytes = &bytes;
  letter.readable = letter.event.ParseFromString(bytes);
  letter.call = OwnCall(options_.service, absl::StrCat("events.", letter.event.type()), tenant, hearing::kBatchTimeout);
  letter.call.request_id = letter.call.idempotency_key = absl::StrCat(options_.producer, ":", seq);
  if (!letter.event.traceparent().empty()) letter.call.traceparent = obs::ChildTraceparent(letter.event.traceparent());
  if (letter.event.has_time()) {
    letter.call.start =
        absl::FromUnixSeconds(letter.event.time().seconds()) + absl::Nanoseconds(letter.event.time().nanos());
  }
  return letter;
}

// The statements of one event's effect; none if nobody listens. `waited` says whether the effect has given the loop a
// turn, that is, whether it has read something.
asio::awaitable<absl::StatusOr<std::vector<pg::Batch::Item>>> SubscriptionImpl::Effects(Letter& letter, bool* waited) {
  *waited = false;
  if (!letter.readable) co_return absl::DataLossError("the event cannot be read");
  auto effect = effects_.find(hearing::PayloadType(letter.event));
  if (effect == effects_.end()) co_return std::vector<pg::Batch::Item>{};
  auto turned = std::make_shared<bool>(false);
  auto executor = co_await asio::this_coro::executor;  // not inside the call: g++ 12 would destroy the lambda twice
  asio::post(executor, [turned] { *turned = true; });
  pg::Batch batch(letter.call);
  const events::Heard heard{letter.call, letter.event};
  absl::Status status;
  try {
    status = co_await effect->second(heard, batch);
  } catch (const std::exception& error) {
    status = absl::InternalError(absl::StrCat("the effect threw: ", error.what()));
  }
  *waited = *turned;
  if (!status.ok()) co_return status;
  co_return std::move(batch.items());
}

// Applies the events that come next in one transaction: as many as `lane.group` allows. Later effects of a transaction
// do not see the earlier ones when they read, so an effect that reads begins a transaction of its own.
Async<> SubscriptionImpl::ApplyNext(Lane& lane) {
  const uint64_t before = lane.position;
  Call call = OwnCall(options_.service, "events.Apply", lane.tenant, hearing::kBatchTimeout);

  // The first event after a start may be what ended the process, so its attempt is counted before it is made; then
  // groups grow from one, so that the next start comes ever closer to the one that does.
  hearing::Attempt attempt;
  if (auto it = lane.attempts.find(before + 1); it != lane.attempts.end()) attempt = it->second;
  const bool careful = lane.fresh || attempt.count > 0;
  if (careful) {
    lane.group = 1;
    if (attempt.count >= options_.attempts_max) {
      Letter letter = Open(lane.tenant, before + 1, lane.pending.begin()->second);
      if (attempt.error.empty()) attempt.error = "the process ended while it applied this event";
      co_return co_await Bury(lane, letter, attempt.count, attempt.error);
    }
    CRM_CO_TRY(co_await CountAttempt(lane, before + 1, attempt.count + 1, attempt.error));
    ++attempt.count;
    lane.fresh = false;
  }

  std::deque<Letter> letters;
  std::vector<pg::Batch::Item> items;
  absl::Status failure;
  int parked = 0;
  uint64_t seq = before;
  for (const auto& [number, bytes] : lane.pending) {
    if (number != seq + 1 || static_cast<int>(letters.size()) >= lane.group) break;
    Letter letter = Open(lane.tenant, number, bytes);
    if (!letter.event.record_id().empty() && lane.parked.contains(letter.event.record_id())) {
      pg::Batch park(letter.call);
      park.AddGuarded(hearing::kPark,
                      pg::Params()
                          .Id(lane.tenant)
                          .Text(options_.producer)
                          .Int(static_cast<int64_t>(number))
                          .Text(letter.event.record_id())
                          .Bytes(bytes),
                      letter.event.record_id());
      for (pg::Batch::Item& item : park.items()) items.push_back(std::move(item));
      ++parked;
    } else {
      std::string type = hearing::PayloadType(letter.event);
      if (!letters.empty() && reading_types_.contains(type)) break;
      bool waited = false;
      absl::StatusOr<std::vector<pg::Batch::Item>> added = co_await Effects(letter, &waited);
      if (waited) reading_types_.insert(type);
      if (!letters.empty() && (waited || !added.ok())) break;  // it comes first next time
      if (!added.ok()) {
        failure = added.status();
        letters.push_back(std::move(letter));
        break;
      }
      for (pg::Batch::Item& item : *added) items.push_back(std::move(item));
    }
    letters.push_back(std::move(letter));
    ++seq;
  }

  if (failure.ok()) {
    pg::Batch batch(call);
    if (options_.asynchronous_commit) batch.Add(hearing::kRelax);
    batch.AddGuarded(hearing::kMovePosition,
                     pg::Params()
                         .Id(lane.tenant)
                         .Text(options_.producer)
                         .Int(static_cast<int64_t>(before))
                         .Int(static_cast<int64_t>(seq)),
                     "position");
    if (attempt.count > 0) {
      batch.Add(hearing::kForgetAttempts,
                pg::Params().Id(lane.tenant).Text(options_.producer).Int(static_cast<int64_t>(seq)));
    }
    for (pg::Batch::Item& item : items) batch.items().push_back(std::move(item));
    CRM_FAILPOINT_CO_RETURN("events.before_effect");
    absl::StatusOr<std::vector<pg::Rows>> written = co_await db_.Write(call, std::move(batch));
    CRM_FAILPOINT("events.after_effect");
    failure = written.status();
  }

  if (failure.ok()) {
    lane.position = seq;
    lane.outages = 0;
    lane.attempts.erase(lane.attempts.begin(), lane.attempts.upper_bound(seq));
    lane.group = std::min(2 * std::max(lane.group, 1), options_.group_max);
    applied_.Add(static_cast<double>(letters.size()) - parked);
    if (parked > 0) parked_.Add(parked);
    for (const Letter& letter : letters) {
      delay_.Observe(absl::ToDoubleSeconds(absl::Now() - letter.call.start));
      if (!lane.parked.contains(letter.event.record_id())) Announce(letter.event);
    }
    co_return absl::OkStatus();
  }

  // Whether it was committed, and whether another replica was first, the database knows.
  lane.loaded = false;
  lane.group = 1;
  if (hearing::IsOutage(failure)) co_return failure;
  CRM_CO_TRY(co_await Load(lane));
  if (lane.position != before || letters.size() > 1) co_return absl::OkStatus();
  if (parked > 0) {  // it need not wait any more
    Pause(lane, options_.retry_min);
    co_return absl::OkStatus();
  }
  // The event's own fault: counted, and the next attempt before it is made.
  retried_.Add();
  int attempts = std::max(attempt.count, 1);
  std::string error = hearing::ErrorText(failure);
  obs::Log(obs::Level::kWarning, call, "an event could not be applied",
           {{"producer", options_.producer}, {"seq", before + 1}, {"attempts", attempts}, {"error", error}});
  if (attempts >= options_.attempts_max) co_return co_await Bury(lane, letters.front(), attempts, error);
  CRM_CO_TRY(co_await CountAttempt(lane, before + 1, attempts, error));
  milliseconds time = options_.retry_min;
  for (int i = 1; i < attempts; ++i) time = std::min(4 * time, hearing::kRetryMax);
  Pause(lane, time);
  co_return absl::OkStatus();
}

Async<> SubscriptionImpl::CountAttempt(Lane& lane, uint64_t seq, int attempts, const std::string& error) {
  Call call = OwnCall(options_.service, "events.CountAttempt", lane.tenant, hearing::kBatchTimeout);
  pg::Batch batch(call);
  batch.Add(hearing::kRelax);  // it must outlive this process, not PostgreSQL's
  batch.Add(
      hearing::kMarkAttempt,
      pg::Params().Id(lane.tenant).Text(options_.producer).Int(static_cast<int64_t>(seq)).Int(attempts).Text(error));
  CRM_CO_TRY(co_await db_.Write(call, std::move(batch)));
  lane.attempts[seq] = {seq, attempts, error};
  co_return absl::OkStatus();
}

// Puts the event aside and lets the lane go on; later events of its record wait behind it.
Async<> SubscriptionImpl::Bury(Lane& lane, const Letter& letter, int attempts, const std::string& error) {
  Call call = OwnCall(options_.service, "events.Bury", lane.tenant, hearing::kBatchTimeout);
  auto seq = static_cast<int64_t>(letter.seq);
  pg::Batch batch(call);
  batch.AddGuarded(hearing::kMovePosition, pg::Params().Id(lane.tenant).Text(options_.producer).Int(seq - 1).Int(seq),
                   "position");
  batch.Add(hearing::kForgetAttempts, pg::Params().Id(lane.tenant).Text(options_.producer).Int(seq));
  batch.Add(hearing::kBury, pg::Params()
                                .Id(lane.tenant)
                                .Text(options_.producer)
                                .Int(seq)
                                .Text(letter.event.record_id())
                                .Bytes(*letter.bytes)
                                .Int(attempts)
                                .Text(error));
  absl::StatusOr<std::vector<pg::Rows>> written = co_await db_.Write(call, std::move(batch));
  lane.loaded = false;
  if (!written.ok()) {
    if (hearing::IsOutage(written.status())) co_return written.status();
    Pause(lane, options_.retry_min);  // another replica was first
    co_return absl::OkStatus();
  }
  lane.position = letter.seq;
  dead_.Add();
  obs::Log(obs::Level::kError, call, "an event was put aside after all attempts",
           {{"producer", options_.producer}, {"seq", letter.seq}, {"attempts", attempts}, {"error", error}});
  co_return absl::OkStatus();
}

void SubscriptionImpl::Announce(const v1::Event& event) {
  for (const auto& listener : listeners_) listener(event);
}

// ---- heads ----

// Asks the producer how far its lanes are. `patient`: what Redis may still be bringing is given a moment; what did not
// come by then was lost on the way, and the place in the streams is looked up anew.
Async<> SubscriptionImpl::CheckHeadsOnce(bool patient) {
  if (share_.shards().empty()) {
    lag_.Set(0);
    co_return absl::OkStatus();
  }
  Call call = OwnCall(options_.service, "events.CheckHeads", Uuid{}, hearing::kFetchTimeout);
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
      if (!lane.loaded) lane.known = true;
    }
    for (int i = 0; i < rows.size(); ++i) {
      Lane& lane = LaneOf(rows.Id(i, 0));
      if (!lane.loaded) lane.position = std::max(lane.position, static_cast<uint64_t>(rows.Int(i, 1)));
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

// ---- replay ----

Async<v1::DeadLetter> SubscriptionImpl::Replay(const Call& call, uint64_t seq) {
  asio::any_io_executor executor;
  {
    std::lock_guard lock(mutex_);
    executor = executor_;
  }
  if (!executor) executor = co_await asio::this_coro::executor;
  co_return co_await asio::co_spawn(executor, ReplayHere(shared_from_this(), call, seq), asio::use_awaitable);
}

Async<v1::DeadLetter> SubscriptionImpl::ReplayHere(std::shared_ptr<SubscriptionImpl> self, Call call, uint64_t seq) {
  const std::string id = absl::StrCat(self->options_.producer, ":", seq);
  const auto key = [&] { return pg::Params().Id(call.tenant()).Text(self->options_.producer); };
  CRM_CO_TRY(pg::Rows found, co_await self->db_.Read(call, hearing::kLoadLetter, key().Int(static_cast<int64_t>(seq))));
  if (found.empty()) co_return NotFound(id);
  const std::string record(found.Text(0, 0));
  v1::DeadLetter letter;
  letter.set_id(id);
  letter.mutable_event()->ParseFromArray(found.Bytes(0, 1).data(), static_cast<int>(found.Bytes(0, 1).size()));
  letter.set_attempts(static_cast<int32_t>(found.Int(0, 2)) + 1);
  int64_t micros = absl::ToUnixMicros(found.Time(0, 4));
  letter.mutable_create_time()->set_seconds(micros / 1'000'000);
  letter.mutable_create_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  if (!record.empty()) {
    CRM_CO_TRY(pg::Rows first, co_await self->db_.Read(call, hearing::kFirstLetter, key().Text(record)));
    if (!first.empty() && static_cast<uint64_t>(first.Int(0, 0)) < seq) {
      std::string earlier = absl::StrCat(self->options_.producer, ":", first.Int(0, 0));
      co_return StateError(absl::StrCat("an earlier event of ", record, " waits: replay ", earlier, " first"),
                           {{"record", record}, {"earlier", earlier}});
    }
  }

  const std::string bytes(found.Bytes(0, 1));
  bool effect_failed = false;
  absl::Status applied = co_await self->ReplayOne(call, seq, bytes, &effect_failed);
  if (!applied.ok()) {
    if (!effect_failed) co_return applied;
    std::string error = hearing::ErrorText(applied);
    co_return StateError(absl::StrCat("the event still cannot be applied: ", error), {{"id", id}});
  }

  // The record's other letters, in order, up to one that fails.
  uint64_t last = seq;
  for (bool more = !record.empty(); more;) {
    CRM_CO_TRY(pg::Rows next,
               co_await self->db_.Read(call, hearing::kNextLetters,
                                       key().Text(record).Int(static_cast<int64_t>(last)).Int(hearing::kReplayPage)));
    more = next.size() == hearing::kReplayPage;
    for (int i = 0; i < next.size(); ++i) {
      last = static_cast<uint64_t>(next.Int(i, 0));
      std::string parked(next.Bytes(i, 1));
      absl::Status status = co_await self->ReplayOne(call, last, parked, &effect_failed);
      if (!status.ok() && !effect_failed) co_return status;
      if (!status.ok()) {
        more = false;
        break;
      }
    }
  }
  if (Lane* lane = self->lanes_.contains(call.tenant()) ? self->lanes_[call.tenant()].get() : nullptr) {
    lane->loaded = false;
  }
  co_return letter;
}

// One letter: its effect and its removal in one transaction, under the lane's lock, so that an event which would be
// parked behind it either sees it or sees it gone.
Async<> SubscriptionImpl::ReplayOne(const Call& call, uint64_t seq, const std::string& bytes, bool* effect_failed) {
  *effect_failed = false;
  const auto key = [&] {
    return pg::Params().Id(call.tenant()).Text(options_.producer).Int(static_cast<int64_t>(seq));
  };
  Letter letter = Open(call.tenant(), seq, bytes);
  bool waited = false;
  absl::StatusOr<std::vector<pg::Batch::Item>> items = co_await Effects(letter, &waited);
  absl::Status failure = items.status();
  if (items.ok()) {
    pg::Batch batch(call);
    batch.Add(hearing::kLockPosition, pg::Params().Id(call.tenant()).Text(options_.producer));
    batch.AddGuarded(hearing::kTakeLetter, key(), absl::StrCat(options_.producer, ":", seq));
    for (pg::Batch::Item& item : *items) batch.items().push_back(std::move(item));
    failure = (co_await db_.Write(call, std::move(batch))).status();
  }
  if (failure.ok()) {
    applied_.Add();
    Announce(letter.event);
    co_return absl::OkStatus();
  }
  if (hearing::IsOutage(failure)) co_return failure;
  *effect_failed = true;
  pg::Batch blame(call);
  blame.Add(hearing::kBlameLetter, key().Text(hearing::ErrorText(failure)));
  CRM_CO_TRY(co_await db_.Write(call, std::move(blame)));
  co_return failure;
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
