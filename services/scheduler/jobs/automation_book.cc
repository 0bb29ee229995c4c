#include "services/scheduler/jobs/automation_book.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/scheduler/sql.h"

namespace crm::scheduler::automation {
namespace book {

using std::chrono::steady_clock;

constexpr auto kEvery = std::chrono::milliseconds(1000);
// Longer than a refresh that goes wrong once; then events wait.
constexpr auto kFreshMax = std::chrono::seconds(5);
// The statement looks two minutes back; whoever has not asked for this long asks for everything.
constexpr auto kPartialMax = std::chrono::seconds(60);
constexpr std::chrono::milliseconds kTimeout{5000};
// Old versions kept; runs that last for days are few.
constexpr size_t kVersionsMax = 10'000;

// A stored version with the name and owner that the rule has now.
absl::StatusOr<ProgramPtr> ProgramOf(const pg::Rows& rows, int row) {
  v1::Rule rule;
  const absl::string_view bytes = rows.Bytes(row, 0);
  if (!rule.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("a rule's version cannot be read");
  }
  rule.set_name(std::string(rows.Text(row, 1)));
  rule.set_owner_id(rows.IsNull(row, 2) ? "" : TypeId("user", rows.Id(row, 2)));
  return Program::Compile(std::move(rule));
}

}  // namespace book

ProgramPtr RuleSet::Find(const std::string& rule_id) const {
  for (const ProgramPtr& program : all) {
    if (program->rule().id() == rule_id) return program;
  }
  return nullptr;
}

std::shared_ptr<const RuleSet> RuleBook::Of(const Uuid& tenant) const {
  std::lock_guard lock(mutex_);
  const auto it = sets_.find(tenant);
  return it == sets_.end() ? nullptr : it->second;
}

bool RuleBook::fresh() const {
  std::lock_guard lock(mutex_);
  return complete_ && book::steady_clock::now() - refreshed_ < book::kFreshMax;
}

Async<std::shared_ptr<const RuleSet>> RuleBook::Read(const Call& call) {
  pg::Batch batch(call);
  batch.Add(sql::kRuleReadSet);
  batch.Add(sql::kRuleReadActive);
  CRM_CO_TRY(std::vector<pg::Rows> results, co_await db_.Read(call, std::move(batch)));
  auto set = std::make_shared<RuleSet>();
  set->revision = results[0].Int(0, 0);
  set->time_zone = std::string(results[0].Text(0, 1));
  for (int i = 0; i < results[1].size(); ++i) {
    auto program = book::ProgramOf(results[1], i);
    if (!program.ok() || (*program)->object() == nullptr) {
      // Saved by an earlier release with events or fields that are no more.
      obs::Log(obs::Level::kWarning, call, "a rule cannot be understood any more",
               {{"rule", std::string(results[1].Text(i, 1))}, {"error", std::string(program.status().message())}});
      continue;
    }
    set->all.push_back(*program);
    const v1::Trigger& trigger = (*program)->rule().trigger();
    for (const auto& [type, event] : Catalogue::Get().events()) {
      if (Hears(trigger, event)) set->events[type].push_back(*program);
    }
    if (trigger.has_date()) set->dates[trigger.date().object()].push_back(*program);
    if (trigger.has_silence()) set->silences.push_back(*program);
  }
  co_return std::shared_ptr<const RuleSet>(std::move(set));
}

Async<> RuleBook::Load(Uuid tenant) {
  const Call call = events::OwnCall("scheduler", "rules.Load", tenant, book::kTimeout);
  auto set = co_await Read(call);
  std::lock_guard lock(mutex_);
  if (!set.ok()) {
    complete_ = false;
    co_return set.status();
  }
  auto& kept = sets_[tenant];
  // Of two that load at once the later one's counts.
  if (kept == nullptr || kept->revision <= (*set)->revision) kept = *std::move(set);
  co_return absl::OkStatus();
}

Async<std::shared_ptr<const RuleSet>> RuleBook::Holding(Uuid tenant, std::string rule_id) {
  const auto known = Of(tenant);
  if (known != nullptr && known->Find(rule_id) != nullptr) co_return known;
  CRM_CO_TRY(co_await Load(tenant));
  co_return Of(tenant);
}

Async<> RuleBook::Refresh() {
  const auto started = book::steady_clock::now();
  bool partial = false;
  {
    std::lock_guard lock(mutex_);
    partial = complete_ && started - refreshed_ < book::kPartialMax;
  }
  const Call call = events::OwnCall("scheduler", "rules.Refresh", Uuid{}, book::kTimeout);
  CRM_CO_TRY(pg::Rows rows, co_await worker_db_.Read(call, sql::kRuleChangedSets, pg::Params().Bool(partial)));
  for (int i = 0; i < rows.size(); ++i) {
    const Uuid tenant = rows.Id(i, 0);
    const auto have = Of(tenant);
    if (have == nullptr || have->revision < rows.Int(i, 1)) CRM_CO_TRY(co_await Load(tenant));
  }
  std::set<Uuid> expired;
  {
    std::lock_guard lock(mutex_);
    expired.swap(expired_);
  }
  for (const Uuid& tenant : expired) {
    if (Of(tenant) != nullptr) CRM_CO_TRY(co_await Load(tenant));
  }
  std::lock_guard lock(mutex_);
  refreshed_ = started;
  complete_ = true;
  co_return absl::OkStatus();
}

void RuleBook::Expire(const Uuid& tenant) {
  std::lock_guard lock(mutex_);
  expired_.insert(tenant);
}

Async<> RuleBook::Run(Call) {
  co_await asio::this_coro::throw_if_cancelled(false);
  events::Bell bell(co_await asio::this_coro::executor);
  bool failing = false;
  for (;;) {
    const absl::Status status = co_await Refresh();
    if (!status.ok() && !failing) {
      obs::Log(obs::Level::kWarning, "the rules cannot be read; events wait", {{"error", events::Brief(status)}});
    }
    failing = !status.ok();
    const bool cancelled = co_await events::Cancelled();
    if (cancelled) co_return absl::OkStatus();
    co_await bell.Wait(events::Jitter(book::kEvery * 3 / 4, book::kEvery));
    const bool cancelled_now = co_await events::Cancelled();
    if (cancelled_now) co_return absl::OkStatus();
  }
}

Async<ProgramPtr> RuleBook::At(const Call& call, std::string rule_id, int version) {
  if (const auto set = Of(call.tenant())) {
    const ProgramPtr now = set->Find(rule_id);
    if (now != nullptr && now->rule().version() == version) co_return now;
  }
  const std::string key = absl::StrCat(call.tenant().ToString(), " ", rule_id, " ", version);
  {
    std::lock_guard lock(mutex_);
    if (const auto it = versions_.find(key); it != versions_.end()) co_return it->second;
  }
  CRM_CO_TRY(const Uuid id, ParseId(rule_id, "rule", "rule_id"));
  CRM_CO_TRY(pg::Rows rows, co_await db_.Read(call, sql::kRuleReadVersion, pg::Params().Id(id).Int(version)));
  if (rows.empty()) co_return NotFound(rule_id);
  CRM_CO_TRY(ProgramPtr program, book::ProgramOf(rows, 0));
  std::lock_guard lock(mutex_);
  if (versions_.size() >= book::kVersionsMax) versions_.clear();
  versions_[key] = program;
  co_return program;
}

}  // namespace crm::scheduler::automation
