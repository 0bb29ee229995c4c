// Runs of rules: step after step, each effect exactly once.
//
// A run is a row and a timer (timers.h). What it does in this service is in the batch that deletes the timer and moves the
// run on; what it does in others is an rpc whose idempotency key is the run and the step, so that after a crash the same call
// is made again and nothing happens twice. Waiting is the same timer at a later time. UNAVAILABLE is tried again, 1 s, 2 s,
// 4 s ... for about an hour; any other error ends the run as failed and tells the rule's owner, and an administrator may
// retry it from that step.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/pg/db.h"
#include "common/pg/table.h"
#include "services/scheduler/jobs/automation_book.h"
#include "services/scheduler/jobs/automation_effects.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler::automation {

struct RunnerOptions {
  // Attempts at a step while a service is away: 1 + 2 + 4 ... seconds, an hour in all.
  int attempts_max = 12;
};

class Runner {
 public:
  // All outlive it.
  Runner(pg::Db& db, RuleBook& book, Effects& effects, const pg::Table<v1::RuleRun>& runs, RunnerOptions options = {})
      : db_(db), book_(book), effects_(effects), runs_(runs), options_(options) {}

  // Registers the timers of runs, dates, silences and backfills.
  void Register(Timers& timers);

  // The effects of those timers.
  Async<> FireRun(const Fired& fired, pg::Batch& batch);
  Async<> FireDate(const Fired& fired, pg::Batch& batch);
  Async<> FireSilence(const Fired& fired, pg::Batch& batch);
  Async<> FireSchedule(const Fired& fired, pg::Batch& batch);
  Async<> FireBackfill(const Fired& fired, pg::Batch& batch);

 private:
  // Works through steps until the run ends, waits or fails; fills `batch`. Answers an error only when nothing was done yet
  // and all is to be tried again.
  Async<> Work(const Fired& fired, const Program& program, const v1::RuleRun& before, pg::Batch& batch);
  Async<> Look(Scene& scene, const std::string& id, std::unique_ptr<google::protobuf::Message>& record);
  Async<bool> Skip(const Call& call, const Program& program, const v1::RuleRun& run);

  pg::Db& db_;
  RuleBook& book_;
  Effects& effects_;
  const pg::Table<v1::RuleRun>& runs_;
  const RunnerOptions options_;
};

// Asks for what is there when a rule about dates begins to work. In the batch that makes it work.
void AddBackfill(pg::Batch& batch, const v1::Rule& rule, absl::Time now);

}  // namespace crm::scheduler::automation
