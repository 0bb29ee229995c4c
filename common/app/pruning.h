// Rows that are only kept for a time, dropped in small batches found by an index, oldest first: beside the service's work, as its
// worker role, unnoticed by it.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/db.h"
#include "common/pg/statement.h"

namespace crm::app {

struct Pruning {
  // Takes $1: how many days rows are kept, $2: how many rows to drop at most; answers how many it has dropped. By the database's
  // clock. Outlives the job.
  const pg::Statement& statement;
  int days = 0;
};

// What one statement drops at most: some milliseconds of work, so that nobody waits for its locks.
inline constexpr int kPruneRows = 1000;
// Between two batches, and between two passes. A million rows so take a quarter of an hour.
inline constexpr auto kPruneStepEvery = std::chrono::seconds(1);
inline constexpr auto kPrunePassEvery = std::chrono::minutes(10);

// One batch: how many rows were dropped.
Async<int64_t> PruneOnce(pg::Db& worker_db, const Call& call, const Pruning& pruning, int rows = kPruneRows);

// All of them, for ever, until it is cancelled; what the database refuses is tried again in the next pass.
Async<> PruneForever(pg::Db& worker_db, std::vector<Pruning> prunings, Call call);

}  // namespace crm::app
