#include "services/scheduler/handlers/save_rule.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/util/message_differencer.h>

#include <memory>
#include <set>
#include <string>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "crm/scheduler/v1/events.pb.h"
#include "services/scheduler/jobs/automation_runner.h"
#include "services/scheduler/jobs/automation_runs.h"
#include "services/scheduler/rules/automation_check.h"
#include "services/scheduler/rules/automation_loops.h"
#include "services/scheduler/sql.h"
#include "services/scheduler/timers.h"

namespace crm::scheduler::automation {

namespace saving {

void CollectRuleIds(const google::protobuf::RepeatedPtrField<v1::Action>& actions, std::set<std::string>& ids) {
  for (const v1::Action& action : actions) {
    if (action.has_cancel_reminders()) ids.insert(action.cancel_reminders().rule_id());
    if (!action.has_branch()) continue;
    CollectRuleIds(action.branch().then(), ids);
    CollectRuleIds(action.branch().otherwise(), ids);
  }
}

bool Works(const v1::Rule& rule) { return rule.enabled() && !rule.has_delete_time(); }

}  // namespace saving

bool SameWork(const v1::Rule& a, const v1::Rule& b) {
  using google::protobuf::util::MessageDifferencer;
  v1::Rule x, y;
  const auto keep = [](const v1::Rule& from, v1::Rule& to) {
    *to.mutable_trigger() = from.trigger();
    to.set_condition(from.condition());
    *to.mutable_actions() = from.actions();
    *to.mutable_limits() = from.limits();
  };
  keep(a, x);
  keep(b, y);
  return MessageDifferencer::Equals(x, y);
}

absl::Status CheckSave(const Call& call, const RuleSet& others, v1::Rule& rule) {
  CRM_TRY(CheckRule(call, rule));
  CRM_TRY(const ProgramPtr program, Program::Compile(rule));
  rule.clear_warnings();
  if (!saving::Works(rule)) return absl::OkStatus();
  if (static_cast<int>(others.all.size()) >= kRulesMax && others.Find(rule.id()) == nullptr) {
    return StateError(absl::StrCat("there are ", kRulesMax, " rules at work already; switch one off first"));
  }
  const Loops loops = FindLoops(*program, others.all);
  if (!loops.endless.empty()) {
    return FieldError("rule.actions", absl::StrCat("would set itself off without end: ", loops.endless,
                                                   "; put a condition somewhere on this way"));
  }
  for (const std::string& way : loops.possible) {
    rule.add_warnings(
        absl::StrCat("may set itself off again: ", way, "; runs behind each other are cut after ", kDepthMax));
  }
  return absl::OkStatus();
}

Async<> CheckRuleIds(pg::Db& db, const Call& call, const pg::Table<v1::Rule>& rules, const v1::Rule& rule) {
  std::set<std::string> ids;
  saving::CollectRuleIds(rule.actions(), ids);
  for (const std::string& id : ids) {
    if (id.empty() || id == rule.id()) continue;
    CRM_CO_TRY(co_await db.Get(call, rules, id, type::v1::ACTION_READ, /*show_deleted=*/true));
  }
  co_return absl::OkStatus();
}

void AddSave(pg::Batch& batch, const RuleSet& others, const v1::Rule* before, const v1::Rule& after, absl::Time now) {
  const Uuid& tenant = batch.call().tenant();
  const bool worked = before != nullptr && saving::Works(*before);
  // What neither worked nor will changes nothing for the others: plans may be saved beside each other.
  if (worked || saving::Works(after)) {
    batch.AddGuarded(sql::kRuleBumpSet, pg::Params().Id(tenant).Int(tenant.bucket()).Int(others.revision), after.id());
  }
  const auto id = ParseId(after.id());
  if (before == nullptr || before->version() != after.version()) {
    batch.Add(sql::kRuleInsertVersion,
              pg::Params().Id(tenant).Id(id->uuid).Int(after.version()).Bytes(after.SerializeAsString()));
  }
  if (saving::Works(after) && after.trigger().has_date() && (!worked || before->version() != after.version())) {
    AddBackfill(batch, after, now);
  }
  if (saving::Works(after) && after.trigger().has_schedule()) {
    if (!worked || before->version() != after.version()) {
      SetSchedule(batch, after, FirstOccasion(after.trigger().schedule()), now, ZoneOrUtc(others.time_zone));
    }
  } else if (before != nullptr && before->trigger().has_schedule()) {
    CancelTimer(batch, kScheduleTimer, after.id());
  }
}

void EmitRule(pg::Batch& batch, const pg::RecordTable& table, const v1::Rule* before, const v1::Rule& after) {
  if (before == nullptr) {
    v1::RuleCreated event;
    *event.mutable_rule() = after;
    batch.Emit(pg::EventOf(table, "created", after), event);
    return;
  }
  v1::RuleUpdated event;
  *event.mutable_rule() = after;
  pg::NewEvent about = pg::EventOf(table, "updated", after);
  about.changed_fields = pg::ChangedFields(*before, after);
  batch.Emit(about, event);
}

}  // namespace crm::scheduler::automation
