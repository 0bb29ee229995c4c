// The rules of all tenants that have some, ready to be asked, in this process: a small hot dictionary. An event of a tenant
// without rules costs a look into a hash table. Every second it asks the database which tenants' rules have changed and loads
// those; what this process saves itself it loads at once. So a change takes effect at once where it was saved, and a second
// later on the service's other replicas.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/events/loop.h"
#include "common/pg/db.h"
#include "services/scheduler/rules/automation_program.h"

namespace crm::scheduler::automation {

using ProgramPtr = std::shared_ptr<const Program>;

// One tenant's rules that work.
struct RuleSet {
  int64_t revision = 0;
  std::string time_zone = "UTC";
  std::vector<ProgramPtr> all;                            // in the order in which they were made
  std::map<std::string, std::vector<ProgramPtr>> events;  // by event type: those that it may set off at once
  std::map<std::string, std::vector<ProgramPtr>> dates;   // by kind of record
  std::vector<ProgramPtr> silences;

  // nullptr if it does not work (any more).
  ProgramPtr Find(const std::string& rule_id) const;
};

class RuleBook {
 public:
  // `db` as the service's handlers, `worker_db` as scheduler_worker; both outlive it.
  RuleBook(pg::Db& db, pg::Db& worker_db) : db_(db), worker_db_(worker_db) {}

  // nullptr for a tenant without rules, and before they are loaded. Any thread.
  std::shared_ptr<const RuleSet> Of(const Uuid& tenant) const;
  // The tenant's rules for a timer of `rule_id`, never nullptr. A set without the rule is read again before it is believed:
  // timers come due before a process that has just begun has loaded anything, and on replicas that do not know it yet.
  Async<std::shared_ptr<const RuleSet>> Holding(Uuid tenant, std::string rule_id);
  // Whether the dictionary is as of the last seconds: what happens meanwhile must wait otherwise, or rules would miss it.
  bool fresh() const;

  // Loads what has changed since the last time.
  Async<> Refresh();
  // Loads one tenant's rules now: after a change of this process's own. If it fails, events wait for the next refresh.
  Async<> Load(Uuid tenant);
  // Loads a tenant's rules anew at the next refresh. Any thread.
  void Expire(const Uuid& tenant);
  // Refreshes every second until it is cancelled.
  Async<> Run(Call call);

  // A rule in one of its versions, whether it still works or not, with its present name and owner; NOT_FOUND.
  Async<ProgramPtr> At(const Call& call, std::string rule_id, int version);
  // The tenant's rules that work, read now, with the revision that a save must meet (rule_bump_set.sql).
  Async<std::shared_ptr<const RuleSet>> Read(const Call& call);

 private:
  pg::Db& db_;
  pg::Db& worker_db_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<Uuid, std::shared_ptr<const RuleSet>> sets_;
  absl::flat_hash_map<std::string, ProgramPtr> versions_;  // old ones, by tenant, rule and version
  std::set<Uuid> expired_;
  std::chrono::steady_clock::time_point refreshed_{};
  bool complete_ = false;  // everything has been loaded once
};

}  // namespace crm::scheduler::automation
