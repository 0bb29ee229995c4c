#include "services/scheduler/handlers/rule_preview.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "services/scheduler/rules/automation_check.h"

namespace crm::scheduler::automation {

Call PreviewCall(const Call& call, const RuleSet* set, absl::Time time) {
  Call out = call;
  out.start = time;
  if (set != nullptr) out.time_zone = set->time_zone;
  return out;
}

absl::Status CheckRecord(const Program& program, const std::string& record_id) {
  const auto id = ParseId(record_id);
  if (id.ok() && id->prefix == program.object()->name) return absl::OkStatus();
  return FieldError("record_id",
                    absl::StrCat("must name a ", program.object()->name, ": the rule is about such records"));
}

Async<> FillPreview(Effects& effects, Scene& scene, v1::RulePreview& preview) {
  const auto& steps = scene.program->steps();
  for (int at = scene.program->first(); at >= 0;) {
    const Step& step = steps[static_cast<size_t>(at)];
    v1::RulePreview::Step& shown = *preview.add_steps();
    shown.set_path(step.path);
    shown.set_action(ActionName(*step.action));
    at = step.next;
    if (step.action->has_branch()) {
      const auto holds = co_await effects.Holds(scene, step);
      if (!holds.ok()) {
        shown.set_error(std::string(holds.status().message()));
        co_return absl::OkStatus();
      }
      shown.set_text(*holds ? "the condition holds" : "the condition does not hold");
      at = *holds ? step.then : step.otherwise;
    } else if (step.action->has_wait()) {
      const auto until = co_await effects.After(scene.call, "", scene.call.now(), step.action->wait().time());
      if (!until.ok()) {
        shown.set_error(std::string(until.status().message()));
        co_return absl::OkStatus();
      }
      shown.set_text(absl::StrCat("until ", TimeText(*until)));
      scene.call.start = *until;
    } else if (!step.action->has_stop()) {
      const auto prepared = co_await effects.Prepare(scene, step, /*take_turns=*/false);
      if (absl::IsUnavailable(prepared.status())) co_return prepared.status();
      if (prepared.ok()) {
        shown.set_text(prepared->nothing ? absl::StrCat(prepared->text, ": it is so already") : prepared->text);
      } else {
        shown.set_error(std::string(prepared.status().message()));
      }
    }
  }
  co_return absl::OkStatus();
}

Async<ProgramPtr> ProgramFor(pg::Db& db, const Call& call, const pg::Table<v1::Rule>& rules, std::string id,
                             bool has_rule, v1::Rule rule) {
  if (has_rule) {
    rule.set_id(id);
  } else if (!id.empty()) {
    CRM_CO_TRY(rule, co_await db.Get(call, rules, id));
  } else {
    co_return FieldError("rule", "must be given, or the id of a saved one");
  }
  if (rule.owner_id().empty()) rule.set_owner_id(call.principal.user_id);
  CRM_CO_TRY(CheckRule(call, rule));
  co_return Program::Compile(std::move(rule));
}

}  // namespace crm::scheduler::automation
