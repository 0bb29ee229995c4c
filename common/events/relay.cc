#include "common/events/relay.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "common/base/failpoint.h"
#include "common/events/loop.h"
#include "common/events/share.h"
#include "common/events/wire.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "common/redis/stream.h"

namespace crm::events {

namespace relaying {

using std::chrono::milliseconds;

constexpr milliseconds kLease{10'000};
constexpr milliseconds kNumberTimeout{10'000};
constexpr int kFindMax = 256;       // tenants per look
constexpr size_t kPokedMax = 1024;  // beyond, a look finds them
// A look steps over what was numbered since the last vacuum. It takes no more than this part of the time, yet comes at least so often:
// nothing waits for it but what a relay left behind that died.
constexpr int kLookShare = 100;
constexpr milliseconds kLookEvery{5'000};
// So many events at a time are a load: numbering waits twice as long then, so that half as many transactions, of the relay and of
// everyone who hears them, do for all.
constexpr int kBusy = 50;
constexpr size_t kLanesKnownMax = 100'000;  // tenants remembered, beyond all are forgotten

// Where a tenant's next look for unnumbered rows begins. Numbered rows leave dead entries in the index of unnumbered ones until the
// next vacuum, and stepping over all of them at each run cost more than the numbering (DECISIONS.md). What was numbered is no bound
// by itself: a transaction that took a smaller id may still be under way. But each takes its own number before an id (writes begin
// with pg_current_xact_id, common/pg), so when all transactions have ended that began before a run of ours did, which began after
// we saw an id, then whatever is below the id has been seen by the latest run, or never will be.
class Floor {
 public:
  int64_t value() const { return value_; }

  // After a run: its transaction's number, the oldest number that was still under way before it looked, the largest id that it
  // numbered (0: none), and whether there may have been more.
  void Ran(int64_t own, int64_t oldest, int64_t last, bool more) {
    if (mark_ > 0 && after_ > 0 && oldest >= after_) {
      value_ = more ? std::min(mark_, last) : mark_;
      mark_ = after_ = 0;
    }
    if (mark_ > 0 && after_ == 0) after_ = own;
    if (mark_ == 0) mark_ = last;
  }
  // An unnumbered row was seen. It lies below only if somebody did not keep to the above, or ids began anew on a replica.
  void Saw(int64_t id) {
    if (id <= value_) *this = Floor(id - 1);
  }

  Floor() = default;

 private:
  explicit Floor(int64_t value) : value_(value) {}

  int64_t value_ = 0;  // nothing unnumbered up to here
  int64_t mark_ = 0;   // the next value, as soon as ...
  int64_t after_ = 0;  // ... transactions up to this number have ended; 0: no run has begun since
};

// Leaps from tenant to tenant along the index of unnumbered rows, so that a tenant's backlog does not make the look
// slow. What lies there for a second belongs to anyone: its relay is dead, and its lease has yet to end.
const pg::Statement kFindTenants{"events.find_unnumbered",
                                 R"sql(
WITH RECURSIVE found AS (
  (SELECT bucket, tenant_id, id, create_time FROM outbox WHERE seq IS NULL ORDER BY bucket, tenant_id, id LIMIT 1)
  UNION ALL
  SELECT next.bucket, next.tenant_id, next.id, next.create_time
  FROM found CROSS JOIN LATERAL (
    SELECT bucket, tenant_id, id, create_time FROM outbox
    WHERE seq IS NULL AND (bucket, tenant_id) > (found.bucket, found.tenant_id)
    ORDER BY bucket, tenant_id, id LIMIT 1
  ) AS next
)
SELECT tenant_id, id FROM found
WHERE bucket % 16 = ANY ($1::int[]) OR create_time < clock_timestamp() - interval '1 s' LIMIT $2::int)sql"};
const pg::Statement kMakeLane{"events.make_lane",
                              "INSERT INTO lane (tenant_id, bucket, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING"};
// A statement of its own: the one that numbers must begin, and so take its snapshot, after the lock is held. In one
// statement a second relay numbers by the head that it saw before it waited.
const pg::Statement kLockLane{"events.lock_lane",
                              "SELECT pg_current_xact_id()::text::bigint, "
                              "pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM lane WHERE tenant_id = $1 "
                              "FOR UPDATE"};
// The rows are named by an array, not by a join: with stale statistics a join walks all rows of the tenant for each of
// them (measured: 500 rows in 200 ms instead of 20).
const pg::Statement kNumber{"events.number",
                            R"sql(
WITH waiting AS MATERIALIZED (
  SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids
  FROM (SELECT id FROM outbox WHERE bucket = $2::smallint AND tenant_id = $1 AND seq IS NULL
        AND id > $4::bigint ORDER BY id LIMIT $3::int) AS first
), moved AS (
  UPDATE lane SET seq = lane.seq + cardinality((SELECT ids FROM waiting))
  WHERE tenant_id = $1 AND cardinality((SELECT ids FROM waiting)) > 0
  RETURNING seq
)
UPDATE outbox SET seq = (SELECT moved.seq - cardinality(waiting.ids) FROM moved, waiting)
                        + array_position((SELECT ids FROM waiting), outbox.id)
WHERE tenant_id = $1 AND id = ANY ((SELECT ids FROM waiting)::bigint[])
RETURNING outbox.seq, outbox.event, extract(epoch FROM clock_timestamp() - outbox.create_time)::float8, outbox.id)sql"};

}  // namespace relaying

struct Relay::Impl : std::enable_shared_from_this<Relay::Impl> {
  Impl(pg::Db& d, redis::Client& r, RelayOptions o)
      : db(d),
        redis(r),
        options(std::move(o)),
        share(db, options.service, "relay", options.holder, relaying::kLease),
        numbered(obs::MakeCounter("crm_events_numbered_total", "Events numbered by this process")),
        unpublished(
            obs::MakeCounter("crm_events_unpublished_total", "Events that Redis did not take; consumers ask for them")),
        delay(obs::MakeHistogram("crm_events_number_delay_seconds", "From an event's commit to its number")) {}

  pg::Db& db;
  redis::Client& redis;
  const RelayOptions options;
  Share share;
  obs::Counter numbered, unpublished;
  obs::Histogram delay;

  // Poked from any thread.
  std::mutex mutex;
  asio::any_io_executor executor;  // empty until Run
  std::vector<Uuid> poked;
  bool poked_all = false;
  bool posted = false;

  // On the loop.
  bool stopping = false;
  bool busy = false;  // the last gathering brought many events
  std::unique_ptr<Bell> bell;
  std::unique_ptr<asio::steady_timer> gather;
  std::unique_ptr<redis::Connection> connection;
  std::deque<Uuid> ready;
  absl::flat_hash_set<Uuid> queued;                   // in `ready`
  absl::flat_hash_set<Uuid> running;                  // being numbered; poked meanwhile: queued as well
  absl::flat_hash_map<Uuid, relaying::Floor> floors;  // of tenants whose lane certainly exists
  uint64_t losses = 0;  // of connections to the database, when the floors were last trusted
  bool look_now = true;

  void Poke(const Uuid* tenant) {
    std::lock_guard lock(mutex);
    if (tenant && poked.size() < relaying::kPokedMax) {
      poked.push_back(*tenant);
    } else {
      poked_all = true;
    }
    if (posted || !executor) return;
    posted = true;
    asio::post(executor, [self = shared_from_this()] { self->Gather(); });
  }

  // Waits a moment, so that commits which come close together are numbered by one.
  void Gather() {
    if (!gather) return;
    gather->expires_after(std::exchange(busy, false) ? 2 * options.gather : options.gather);
    gather->async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->TakePokes();
    });
  }

  void TakePokes() {
    std::vector<Uuid> tenants;
    {
      std::lock_guard lock(mutex);
      tenants.swap(poked);
      if (std::exchange(poked_all, false)) look_now = true;
      posted = false;
    }
    for (const Uuid& tenant : tenants) Queue(tenant);
    if (look_now) bell->Ring();
    StartLanes();
  }

  void Queue(const Uuid& tenant) {
    if (queued.insert(tenant).second) ready.push_back(tenant);
  }

  void StartLanes() {
    for (size_t turns = ready.size();
         turns > 0 && !stopping && static_cast<int>(running.size()) < options.lanes_at_once; --turns) {
      Uuid tenant = ready.front();
      ready.pop_front();
      if (running.contains(tenant)) {  // its turn comes when this one is over
        ready.push_back(tenant);
        continue;
      }
      queued.erase(tenant);
      running.insert(tenant);
      asio::co_spawn(
          executor, NumberTenant(shared_from_this(), tenant),
          [self = shared_from_this(), tenant](std::exception_ptr failed) { self->Finished(tenant, failed); });
    }
  }

  void Finished(const Uuid& tenant, std::exception_ptr failed) {
    if (failed) obs::Log(obs::Level::kError, "numbering a lane threw", {{"tenant", TypeId("tenant", tenant)}});
    running.erase(tenant);
    StartLanes();
    if (stopping) bell->Ring();
  }

  static asio::awaitable<void> NumberTenant(std::shared_ptr<Impl> self, Uuid tenant) {
    absl::StatusOr<int> count = co_await self->Number(tenant);
    if (!count.ok()) {  // found again by the next look
      obs::Log(obs::Level::kWarning, "a lane could not be numbered",
               {{"tenant", TypeId("tenant", tenant)}, {"error", Brief(count.status())}});
    } else if (*count >= self->options.batch_max) {
      self->Queue(tenant);
    }
  }

  Async<int> Number(Uuid tenant) {
    CRM_FAILPOINT_CO_RETURN("events.before_number");
    Call call = OwnCall(options.service, "events.Number", tenant, relaying::kNumberTimeout);
    pg::Batch batch(call);
    if (std::exchange(losses, db.losses()) != db.losses()) floors.clear();  // it may be another database now
    const auto floor = floors.find(tenant);
    const bool known = floor != floors.end();
    const int64_t above = known ? floor->second.value() : 0;
    if (!known) batch.Add(relaying::kMakeLane, pg::Params().Id(tenant).Int(tenant.bucket()));
    const auto locked = static_cast<size_t>(batch.Add(relaying::kLockLane, pg::Params().Id(tenant)));
    const auto index = static_cast<size_t>(
        batch.Add(relaying::kNumber, pg::Params().Id(tenant).Int(tenant.bucket()).Int(options.batch_max).Int(above)));
    CRM_CO_TRY(std::vector<pg::Rows> results, co_await db.Write(call, std::move(batch)));
    CRM_FAILPOINT("events.after_number");
    const pg::Rows& rows = results[index];
    int64_t last = 0;
    for (int i = 0; i < rows.size(); ++i) last = std::max(last, rows.Int(i, 3));
    if (!known && floors.size() >= relaying::kLanesKnownMax) floors.clear();
    if (!results[locked].empty()) {
      floors[tenant].Ran(results[locked].Int(0, 0), results[locked].Int(0, 1), last, rows.size() >= options.batch_max);
    }
    busy = busy || rows.size() >= relaying::kBusy;
    Publish(tenant, rows);
    CRM_FAILPOINT("events.after_publish");
    co_return rows.size();
  }

  // In order of the numbers, on one connection; nobody waits for it.
  void Publish(const Uuid& tenant, const pg::Rows& rows) {
    if (rows.empty()) return;
    std::vector<std::pair<int64_t, int>> order;  // UPDATE ... RETURNING answers in no particular order
    for (int i = 0; i < rows.size(); ++i) order.emplace_back(rows.Int(i, 0), i);
    std::sort(order.begin(), order.end());
    numbered.Add(rows.size());
    delay.Observe(rows.Double(order.front().second, 2));
    std::string stream = StreamName(options.service, ShardOf(tenant));
    for (auto [seq, row] : order) {
      connection->Send(
          redis::AddToStream(stream, WithSeq(rows.Bytes(row, 1), static_cast<uint64_t>(seq)), kStreamLengthMax),
          [self = shared_from_this()](const absl::Status&) { self->unpublished.Add(); });
    }
  }

  // Looks for tenants with unnumbered events.
  Async<> Look() {
    Call call = OwnCall(options.service, "events.FindUnnumbered", Uuid{}, relaying::kNumberTimeout);
    std::vector<int64_t> shards(share.shards().begin(), share.shards().end());
    CRM_CO_TRY(pg::Rows rows,
               co_await db.Read(call, relaying::kFindTenants, pg::Params().IntArray(shards).Int(relaying::kFindMax),
                                pg::Work::kPoint));
    for (int i = 0; i < rows.size(); ++i) {
      if (auto floor = floors.find(rows.Id(i, 0)); floor != floors.end()) floor->second.Saw(rows.Int(i, 1));
      if (!running.contains(rows.Id(i, 0))) Queue(rows.Id(i, 0));
    }
    StartLanes();
    co_return absl::OkStatus();
  }

  static asio::awaitable<void> Work(std::shared_ptr<Impl> self) {
    bool failing = false;
    while (!self->stopping) {
      co_await self->share.Renew();
      self->look_now = false;
      const auto begun = std::chrono::steady_clock::now();
      absl::Status looked = co_await self->Look();
      const auto took = std::chrono::steady_clock::now() - begun;
      if (!looked.ok() && !failing) {
        obs::Log(obs::Level::kWarning, "the outbox cannot be looked at", {{"error", Brief(looked)}});
      }
      failing = !looked.ok();
      if (!self->look_now) {
        relaying::milliseconds high = self->options.poll_max;
        relaying::milliseconds pause = failing ? 2 * high : Jitter(self->options.poll_min, high);
        const auto seldom = std::chrono::duration_cast<relaying::milliseconds>(relaying::kLookShare * took);
        pause = std::max(pause, std::min(seldom, relaying::kLookEvery));
        co_await self->bell->Wait(pause);
      }
      bool cancelled = co_await Cancelled();
      if (cancelled) self->stopping = true;
    }
  }
};

Relay::Relay(pg::Db& worker_db, redis::Client& redis, RelayOptions options)
    : impl_(std::make_shared<Impl>(worker_db, redis, std::move(options))) {}

Relay::~Relay() = default;

Async<> Relay::Run() {
  std::shared_ptr<Impl> self = impl_;
  auto executor = co_await asio::this_coro::executor;
  co_await asio::this_coro::throw_if_cancelled(false);
  self->bell = std::make_unique<Bell>(executor);
  self->gather = std::make_unique<asio::steady_timer>(executor);
  self->connection = self->redis.Open(executor);
  {
    std::lock_guard lock(self->mutex);
    self->executor = executor;
  }
  co_await Impl::Work(self);
  co_await asio::this_coro::reset_cancellation_state();
  while (!self->running.empty()) co_await self->bell->Wait(std::chrono::milliseconds(1000));
  {
    std::lock_guard lock(self->mutex);
    self->executor = {};
  }
  co_await self->share.Release();
  self->gather->cancel();
  self->connection->Close();
  co_return absl::OkStatus();
}

void Relay::Stop() {
  std::lock_guard lock(impl_->mutex);
  if (!impl_->executor) {
    impl_->stopping = true;
    return;
  }
  asio::post(impl_->executor, [self = impl_] {
    self->stopping = true;
    self->bell->Ring();
  });
}

void Relay::Poke() { impl_->Poke(nullptr); }
void Relay::Poke(const Uuid& tenant) { impl_->Poke(&tenant); }

}  // namespace crm::events
