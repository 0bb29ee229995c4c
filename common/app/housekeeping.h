// What every service with a database does beside its work: drops replies to requests that nobody repeats any more, and
// measures what operators are woken by.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/obs/metrics.h"
#include "common/pg/db.h"

namespace crm::app {

class Housekeeping {
 public:
  // How long an idempotency key is kept, as the API promises.
  static constexpr int kKeyDays = 7;
  // Pages of the table that one step looks at: 16 MB. Deleting all of it, 34,000 small replies, took 60 ms.
  static constexpr int64_t kStepPages = 2000;
  // Between two steps of a pass, and between two passes. 20 GB of replies so take 20 minutes, unnoticed.
  static constexpr auto kStepEvery = std::chrono::seconds(1);
  static constexpr auto kPassEvery = std::chrono::minutes(10);
  static constexpr auto kMeasureEvery = std::chrono::seconds(15);

  // `worker_db` logs in as <service>_worker, and outlives this.
  explicit Housekeeping(pg::Db& worker_db);

  // Each runs for ever on the caller's loop, until it is cancelled; what the database refuses is tried again.
  Async<> PurgeForever(Call call);
  Async<> MeasureForever(Call call);

  // One step over the pages from `page` on: answers where the next one begins, 0 at the end of the table.
  //
  // The table is walked by pages and not by an index on time: its rows lie in order of time at first, but later ones take the
  // room of those that were deleted, so that a BRIN's ranges only widen, and a B-tree would cost each write. A walk costs the
  // reading alone, and that is bounded by the pace.
  Async<int64_t> Purge(const Call& call, int64_t page);
  Async<> Measure(const Call& call);

 private:
  pg::Db& db_;
  obs::Counter purged_;
  obs::Gauge unnumbered_age_, dead_letters_, parked_;
};

}  // namespace crm::app
