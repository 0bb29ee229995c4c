// Durable timers: rows that become effects at their time, each exactly once, whatever crashes.
//
//   SetTimer(batch, {.kind = "task_due", .subject = task.id(), .due = due});      // with the state it belongs to
//   CancelTimers(batch, task.id());                                               // all timers of the record
//   timers.On("task_due", [&app](const Fired& fired, pg::Batch& batch) -> Async<> {
//     ...reads if needed, then batch.Add(...);  co_return absl::OkStatus();       // as a consumer's effect
//   });
//
// What is due is decided by the database's clock plus the tenant's test offset (clock.h), never by a process's. A worker
// claims due rows with a fencing token (`fence`, raised by every claim and every SetTimer) under FOR UPDATE SKIP LOCKED and
// puts off their `wake_time` by the lease; the effect's batch begins with the guarded deletion of the row by that token. So a
// worker that was paused past its lease, killed between claim and effect, or overtaken by a change of the timer, changes
// nothing: its whole batch is undone. A killed process that begins again under its name (`holder`) takes back what it had claimed;
// what another had claimed waits for the lease. Workers divide tenants by shard (common/events/share.h) for efficiency alone.
//
// An effect that fails is tried again after 1 s, 2 s, 4 s ... up to an hour, for ever: an outage or a full disk loses no
// timer. LostRace (a record changed between read and write) is tried again at once. An effect may run several times before it
// commits once, so it changes nothing but its batch; calls to other services carry `fired.call`, whose idempotency key is the
// same for every attempt. The effect may set the same timer again in its batch: the deletion comes first.
#pragma once

#include <absl/time/time.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/batch.h"
#include "common/pg/db.h"

namespace crm::scheduler {

// What an effect may be handed: more belongs into a record.
inline constexpr size_t kTimerPayloadBytesMax = 64 << 10;

// A timer to be set. Kind, subject and key name it within its tenant: setting it again moves it.
struct TimerSpec {
  std::string kind;          // which effect: "task_due"
  std::string subject;       // TypeID of the record that it belongs to
  std::string key = {};      // tells several of one kind and subject apart
  absl::Time due;            // in the past: fires at once
  std::string payload = {};  // handed to the effect
};

void SetTimer(pg::Batch& batch, const TimerSpec& timer);
// Nothing happens when there is no such timer, or when it has just fired.
void CancelTimer(pg::Batch& batch, const std::string& kind, const std::string& subject, const std::string& key = "");
// Every timer of the record; with a kind, those of that kind.
void CancelTimers(pg::Batch& batch, const std::string& subject);
void CancelTimers(pg::Batch& batch, const std::string& subject, const std::string& kind);

// One timer that has come due, with a Call of its own: the tenant's, as the service.
struct Fired {
  const Call& call;
  std::string kind;
  std::string subject;
  std::string key;
  std::string payload;
  absl::Time due;
  absl::Time now;    // the moment that made it due: the database's clock plus the tenant's test offset
  int attempts = 0;  // earlier ones that failed
};

using TimerEffect = std::function<Async<>(const Fired&, pg::Batch&)>;

struct TimerOptions {
  std::string holder;                      // this process among its replicas, the same after a restart; empty: made up
  std::chrono::milliseconds poll{250};     // how often due rows are looked for
  std::chrono::milliseconds lease{30000};  // how long a claimed timer is nobody else's
  int claim_max = 50;                      // rows per shard and claim
  int at_once = 8;                         // effects under way
};

class Timers {
 public:
  // `db` logs in as the service's handlers, `worker_db` as scheduler_worker; both outlive it.
  Timers(pg::Db& db, pg::Db& worker_db, TimerOptions options = {});
  ~Timers();

  // Before Run. One effect a kind. Timers of a kind that this process does not know stay where they are.
  void On(std::string kind, TimerEffect effect);

  // Claims and fires on the caller's loop until it is cancelled or stopped; effects under way are finished first.
  Async<> Run();
  void Stop();

  // Claims and fires what is due now, whosever shard, and answers how many effects took place; for tests.
  Async<int> FireDue();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::scheduler
