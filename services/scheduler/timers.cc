#include "services/scheduler/timers.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <deque>
#include <exception>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/events/loop.h"
#include "common/events/share.h"
#include "common/events/wire.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler {

namespace timing {

using std::chrono::milliseconds;

constexpr milliseconds kEffectTimeout{20'000};  // well within the lease
constexpr milliseconds kClaimTimeout{10'000};
constexpr milliseconds kShareLease{10'000};
constexpr int kRacesMax = 3;  // as often as a handler runs again
constexpr absl::Duration kRetryMin = absl::Seconds(1);
constexpr absl::Duration kRetryMax = absl::Hours(1);
constexpr size_t kErrorTextMax = 1000;

// A timer is named by what it is for, so that setting it twice makes one.
Uuid IdOf(const Uuid& tenant, const std::string& kind, const std::string& subject, const std::string& key) {
  return DerivedUuid(tenant, absl::StrCat("timer\n", kind, "\n", subject, "\n", key));
}

struct Claimed {
  Uuid tenant, id;
  std::string kind, subject, key, payload;
  absl::Time due, now;
  int64_t fence = 0;
  int attempts = 0;
};

std::string ErrorText(const absl::Status& status) {
  std::string text = events::Brief(status).substr(0, kErrorTextMax);
  for (char& c : text) {
    if (c == '\0' || (c & 0x80)) c = '?';
  }
  return text;
}

absl::Duration Backoff(int attempts) {
  absl::Duration wait = kRetryMin;
  for (int i = 0; i < attempts && wait < kRetryMax; ++i) wait *= 2;
  return std::min(wait, kRetryMax);
}

}  // namespace timing

void SetTimer(pg::Batch& batch, const TimerSpec& timer) {
  if (timer.payload.size() > kTimerPayloadBytesMax) {
    batch.Fail(absl::InternalError(absl::StrCat("the payload of the timer ", timer.kind, " is too large")));
    return;
  }
  const Uuid& tenant = batch.call().tenant();
  batch.Add(sql::kSetTimer, pg::Params()
                                .Id(tenant)
                                .Id(timing::IdOf(tenant, timer.kind, timer.subject, timer.key))
                                .Int(tenant.bucket())
                                .Text(timer.kind)
                                .Text(timer.subject)
                                .Text(timer.key)
                                .Time(timer.due)
                                .Bytes(timer.payload));
}

void CancelTimer(pg::Batch& batch, const std::string& kind, const std::string& subject, const std::string& key) {
  const Uuid& tenant = batch.call().tenant();
  batch.Add(sql::kCancelTimer, pg::Params().Id(tenant).Id(timing::IdOf(tenant, kind, subject, key)));
}

void CancelTimers(pg::Batch& batch, const std::string& subject) { CancelTimers(batch, subject, ""); }

void CancelTimers(pg::Batch& batch, const std::string& subject, const std::string& kind) {
  batch.Add(sql::kCancelTimers, pg::Params().Id(batch.call().tenant()).Text(subject).Text(kind));
}

struct Timers::Impl : std::enable_shared_from_this<Timers::Impl> {
  Impl(pg::Db& d, pg::Db& worker, TimerOptions o)
      : db(d),
        worker_db(worker),
        options(std::move(o)),
        share(worker, "scheduler", "timers", options.holder, timing::kShareLease),
        fired(obs::MakeCounter("crm_timers_fired_total", "Timers whose effect took place")),
        failed(obs::MakeCounter("crm_timers_failed_total", "Attempts at a timer's effect that failed")),
        lateness(obs::MakeHistogram("crm_timer_lateness_seconds", "From a timer's due time to its effect", {},
                                    {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600})) {}

  pg::Db& db;
  pg::Db& worker_db;
  const TimerOptions options;
  events::Share share;
  obs::Counter fired, failed;
  obs::Histogram lateness;
  std::map<std::string, TimerEffect> effects;

  // On the loop that runs it.
  bool stopping = false;
  std::unique_ptr<events::Bell> bell;
  std::deque<timing::Claimed> waiting;
  int running = 0;

  Async<std::vector<timing::Claimed>> Claim(std::vector<int64_t> shards, int count) {
    Call call = events::OwnCall("scheduler", "timers.Claim", Uuid{}, timing::kClaimTimeout);
    std::vector<std::string> kinds;
    for (const auto& [kind, effect] : effects) kinds.push_back(kind);
    pg::Batch batch(call);
    // Statistics that lag behind a burst of timers must not make it read them all.
    batch.Add(sql::kByIndexAlone);
    batch.Add(sql::kClaimTimers, pg::Params()
                                     .IntArray(shards)
                                     .Int(count)
                                     .Int(std::chrono::ceil<std::chrono::seconds>(options.lease).count())
                                     .TextArray(kinds)
                                     .Text(options.holder));
    CRM_CO_TRY(std::vector<pg::Rows> results, co_await worker_db.Write(call, std::move(batch)));
    const pg::Rows& rows = results[1];
    std::vector<timing::Claimed> claimed;
    claimed.reserve(static_cast<size_t>(rows.size()));
    for (int i = 0; i < rows.size(); ++i) {
      timing::Claimed& one = claimed.emplace_back();
      one.tenant = rows.Id(i, 0);
      one.id = rows.Id(i, 1);
      one.kind = std::string(rows.Text(i, 2));
      one.subject = std::string(rows.Text(i, 3));
      one.key = std::string(rows.Text(i, 4));
      one.due = rows.Time(i, 5);
      one.payload = std::string(rows.Bytes(i, 6));
      one.fence = rows.Int(i, 7);
      one.attempts = static_cast<int>(rows.Int(i, 8));
      one.now = rows.Time(i, 9);
    }
    std::sort(claimed.begin(), claimed.end(),
              [](const timing::Claimed& a, const timing::Claimed& b) { return a.due < b.due; });
    co_return claimed;
  }

  // What a process of this name had claimed when it was killed.
  Async<> TakeBackOwn() {
    Call call = events::OwnCall("scheduler", "timers.TakeBackOwn", Uuid{}, timing::kClaimTimeout);
    pg::Batch batch(call);
    batch.Add(sql::kTakeBackTimers, pg::Params().Text(options.holder));
    CRM_CO_TRY(co_await worker_db.Write(call, std::move(batch)));
    co_return absl::OkStatus();
  }

  // One attempt: the row's deletion and the effect, both or neither.
  Async<> Attempt(const Call& call, const timing::Claimed& claimed) {
    pg::Batch batch(call);
    batch.AddGuarded(sql::kTakeTimer, pg::Params().Id(claimed.tenant).Id(claimed.id).Int(claimed.fence),
                     TypeId("timer", claimed.id));
    const Fired what{call,        claimed.kind, claimed.subject, claimed.key, claimed.payload,
                     claimed.due, claimed.now,  claimed.attempts};
    CRM_CO_TRY(co_await effects.at(claimed.kind)(what, batch));
    CRM_FAILPOINT("timers.before_effect");
    CRM_CO_TRY(co_await db.Write(call, std::move(batch)));
    CRM_FAILPOINT("timers.after_effect");
    co_return absl::OkStatus();
  }

  // Whether the effect took place.
  asio::awaitable<bool> Fire(timing::Claimed claimed) {
    CRM_FAILPOINT("timers.after_claim");
    absl::Status status;
    for (int race = 0; race < timing::kRacesMax; ++race) {
      Call call =
          events::OwnCall("scheduler", absl::StrCat("timers.", claimed.kind), claimed.tenant, timing::kEffectTimeout);
      call.idempotency_key = absl::StrCat("timer:", claimed.id.ToString(), ":", absl::ToUnixMicros(claimed.due));
      try {
        status = co_await Attempt(call, claimed);
      } catch (const std::exception& error) {
        status = absl::InternalError(absl::StrCat("the effect threw: ", error.what()));
      }
      if (!IsLostRace(status)) break;
    }
    if (status.ok()) {
      fired.Add();
      lateness.Observe(std::max(0.0, absl::ToDoubleSeconds(claimed.now - claimed.due)));
      co_return true;
    }
    // Somebody else's now, or moved: its fence has changed, and the statement finds nothing.
    failed.Add();
    Call call = events::OwnCall("scheduler", "timers.Postpone", claimed.tenant, timing::kClaimTimeout);
    obs::Log(IsLostRace(status) ? obs::Level::kInfo : obs::Level::kWarning, call, "a timer could not fire",
             {{"kind", claimed.kind},
              {"subject", claimed.subject},
              {"attempts", claimed.attempts + 1},
              {"error", events::Brief(status)}});
    pg::Batch batch(call);
    batch.Add(sql::kPostponeTimer, pg::Params()
                                       .Id(claimed.tenant)
                                       .Id(claimed.id)
                                       .Int(claimed.fence)
                                       .Time(claimed.now + timing::Backoff(claimed.attempts))
                                       .Text(timing::ErrorText(status)));
    (void)co_await db.Write(call, std::move(batch));  // else the lease ends
    co_return false;
  }

  static asio::awaitable<void> Work(std::shared_ptr<Impl> self) {
    while (!self->waiting.empty()) {
      timing::Claimed next = std::move(self->waiting.front());
      self->waiting.pop_front();
      co_await self->Fire(std::move(next));
    }
  }

  void StartWorkers(const asio::any_io_executor& executor) {
    const int wanted = std::min(options.at_once, running + static_cast<int>(waiting.size()));
    while (running < wanted) {
      ++running;
      asio::co_spawn(executor, Work(shared_from_this()), [self = shared_from_this()](std::exception_ptr failed_with) {
        if (failed_with) obs::Log(obs::Level::kError, "a worker of timers threw");
        --self->running;
        self->bell->Ring();
      });
    }
  }
};

Timers::Timers(pg::Db& db, pg::Db& worker_db, TimerOptions options)
    : impl_(std::make_shared<Impl>(db, worker_db, [&] {
        if (options.holder.empty()) options.holder = events::NewHolder();
        return std::move(options);
      }())) {}

Timers::~Timers() = default;

void Timers::On(std::string kind, TimerEffect effect) { impl_->effects[std::move(kind)] = std::move(effect); }

Async<> Timers::Run() {
  std::shared_ptr<Impl> self = impl_;
  auto executor = co_await asio::this_coro::executor;
  co_await asio::this_coro::throw_if_cancelled(false);
  self->bell = std::make_unique<events::Bell>(executor);
  bool failing = false, taken_back = false;
  while (!self->stopping) {
    co_await self->share.Renew();
    bool more = false;
    if (!taken_back) {
      const absl::Status status = co_await self->TakeBackOwn();
      taken_back = status.ok();
    }
    const std::vector<int>& shards = self->share.shards();
    // What waits here is not claimed by others: no more than the workers get through in a moment.
    if (!shards.empty() && static_cast<int>(self->waiting.size()) < self->options.at_once) {
      auto claimed = co_await self->Claim(std::vector<int64_t>(shards.begin(), shards.end()), self->options.claim_max);
      if (claimed.ok()) {
        more = static_cast<int>(claimed->size()) >= self->options.claim_max;
        for (auto& one : *claimed) self->waiting.push_back(std::move(one));
        self->StartWorkers(executor);
      } else if (!failing) {
        obs::Log(obs::Level::kWarning, "timers cannot be claimed", {{"error", events::Brief(claimed.status())}});
      }
      failing = !claimed.ok();
    }
    // A worker that ends rings; while everything claimed is under way, that is soon enough to look again.
    if (!more || !self->waiting.empty()) {
      co_await self->bell->Wait(events::Jitter(self->options.poll * 3 / 4, self->options.poll));
    }
    bool cancelled = co_await events::Cancelled();
    if (cancelled) self->stopping = true;
  }
  co_await asio::this_coro::reset_cancellation_state();
  self->waiting.clear();  // their leases end, and others take them
  while (self->running > 0) co_await self->bell->Wait(std::chrono::milliseconds(1000));
  co_await self->share.Release();
  co_return absl::OkStatus();
}

void Timers::Stop() {
  impl_->stopping = true;
  if (impl_->bell) impl_->bell->Ring();
}

Async<int> Timers::FireDue() {
  std::shared_ptr<Impl> self = impl_;
  std::vector<int64_t> shards;
  for (int shard = 0; shard < events::kShards; ++shard) shards.push_back(shard);
  CRM_CO_TRY(auto claimed, co_await self->Claim(std::move(shards), self->options.claim_max));
  int count = 0;
  for (auto& one : claimed) {
    const bool took_place = co_await self->Fire(std::move(one));
    if (took_place) ++count;
  }
  co_return count;
}

}  // namespace crm::scheduler
