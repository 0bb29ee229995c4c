#include "services/scheduler/rules/automation_loops.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace crm::scheduler::automation {
namespace loops {

constexpr size_t kPossibleMax = 10;

// An event that an action brings about.
struct Effect {
  std::string action;  // "move_deal"
  std::string type;    // "deal.moved"
  std::string object;  // "deal"
  std::vector<std::string> fields;
  std::string stage_id;  // of deal.moved
  std::string value;     // of a set field, where it is the same each time
  bool literal = false;
  bool whole = false;        // the field becomes the value, rather than a list that has it
  bool conditional = false;  // inside a branch, or behind one that may stop the run
};

bool HasStop(const google::protobuf::RepeatedPtrField<v1::Action>& actions) {
  return std::any_of(actions.begin(), actions.end(), [](const v1::Action& action) {
    return action.has_stop() ||
           (action.has_branch() && (HasStop(action.branch().then()) || HasStop(action.branch().otherwise())));
  });
}

void Collect(const ObjectKind& object, const google::protobuf::RepeatedPtrField<v1::Action>& actions, bool conditional,
             std::vector<Effect>& out) {
  for (const v1::Action& action : actions) {
    const auto add = [&](const std::string& type) -> Effect& {
      Effect& effect = out.emplace_back();
      effect.action = ActionName(action);
      effect.type = type;
      effect.object = type.substr(0, type.find('.'));
      effect.conditional = conditional;
      return effect;
    };
    switch (action.what_case()) {
      case v1::Action::kCreateTask:
        add("task.created");
        break;
      case v1::Action::kCreateReminder:
        add("reminder.created");
        break;
      case v1::Action::kCancelReminders:
        add("reminder.cancelled").conditional = true;  // there must be some
        break;
      case v1::Action::kSendMessage:
        for (const char* type : {"message.queued", "message.sent", "conversation.created", "conversation.updated"}) {
          add(type);
        }
        break;
      case v1::Action::kMoveDeal: {
        Effect& effect = add("deal.moved");
        effect.stage_id = action.move_deal().stage_id();
        effect.fields = {"stage_id", "status", "stage_enter_time"};
        break;
      }
      case v1::Action::kSetField: {
        const auto target = TargetOf(object, action.set_field().target(), "");
        if (!target.ok()) break;
        Effect& effect = add((*target)->name + ".updated");
        effect.fields = {action.set_field().field()};
        effect.value = action.set_field().value();
        effect.literal = !absl::StrContains(effect.value, "{{");
        effect.whole = action.set_field().operation() != v1::SetFieldAction::OPERATION_ADD &&
                       action.set_field().operation() != v1::SetFieldAction::OPERATION_REMOVE;
        break;
      }
      case v1::Action::kAssign: {
        const auto target = TargetOf(object, action.assign().target(), "");
        if (target.ok()) add((*target)->name + ".updated").fields = {"owner_id", "team_id"};
        break;
      }
      case v1::Action::kNotify:
        add("notification.created");
        break;
      case v1::Action::kBranch:
        Collect(object, action.branch().then(), true, out);
        Collect(object, action.branch().otherwise(), true, out);
        if (HasStop(action.branch().then()) || HasStop(action.branch().otherwise())) conditional = true;
        break;
      case v1::Action::kStop:
        return;
      case v1::Action::kCallWebhook:  // what others do then is theirs
      case v1::Action::kWait:
      case v1::Action::WHAT_NOT_SET:
        break;
    }
  }
}

// Whether the effect sets the rule off: not at all, perhaps, or whenever it happens.
enum class Answer { kNo, kPerhaps, kAlways };
Answer SetsOff(const Effect& effect, const Program& rule) {
  const v1::Trigger& trigger = rule.rule().trigger();
  bool perhaps = effect.conditional || !rule.rule().condition().empty() || rule.rule().limits().once_per_record();
  const auto names = [&](const std::string& field) {
    return std::any_of(effect.fields.begin(), effect.fields.end(), [&](const std::string& changed) {
      return changed == field || absl::StartsWith(changed, field + ".") || absl::StartsWith(field, changed + ".");
    });
  };
  switch (trigger.when_case()) {
    case v1::Trigger::kEvent:
      if (trigger.event().type() != effect.type && trigger.event().type() != effect.object + ".*") return Answer::kNo;
      break;
    case v1::Trigger::kStageEntered:
      if (effect.type != "deal.moved" || effect.stage_id != trigger.stage_entered().stage_id()) return Answer::kNo;
      break;
    case v1::Trigger::kFieldChanged: {
      const auto& changed = trigger.field_changed();
      if (effect.object != changed.object() || !names(changed.field())) return Answer::kNo;
      if (!changed.to().empty()) {
        std::string to = changed.to();
        if (to.size() >= 2 && to.front() == '"' && to.back() == '"') to = to.substr(1, to.size() - 2);
        if (effect.literal && effect.whole && effect.value != to) return Answer::kNo;
        // Set to what it is already, it does not change.
        perhaps = true;
      } else if (effect.literal) {
        perhaps = true;  // the same value each time: the second time nothing changes
      }
      break;
    }
    // Time passes in between: slow, and often meant (a date that is set anew each time it comes).
    case v1::Trigger::kSilence:
      if (effect.type != "deal.moved" || effect.stage_id != trigger.silence().stage_id()) return Answer::kNo;
      perhaps = true;
      break;
    case v1::Trigger::kDate:
    case v1::Trigger::kSchedule:
    case v1::Trigger::WHEN_NOT_SET:
      return Answer::kNo;
  }
  return perhaps ? Answer::kPerhaps : Answer::kAlways;
}

struct Edge {
  size_t to = 0;
  std::string text;  // "move_deal -> deal.moved"
  bool always = false;
};

}  // namespace loops

Loops FindLoops(const Program& rule, const std::vector<std::shared_ptr<const Program>>& others) {
  std::vector<const Program*> rules = {&rule};
  for (const auto& other : others) {
    if (other->rule().id() != rule.rule().id() || rule.rule().id().empty()) rules.push_back(other.get());
  }
  std::vector<std::vector<loops::Edge>> edges(rules.size());
  for (size_t from = 0; from < rules.size(); ++from) {
    if (rules[from]->object() == nullptr) continue;
    std::vector<loops::Effect> effects;
    loops::Collect(*rules[from]->object(), rules[from]->rule().actions(), false, effects);
    for (size_t to = 0; to < rules.size(); ++to) {
      std::optional<loops::Edge> best;
      for (const loops::Effect& effect : effects) {
        const loops::Answer answer = loops::SetsOff(effect, *rules[to]);
        if (answer == loops::Answer::kNo) continue;
        const bool always = answer == loops::Answer::kAlways;
        if (!best || (always && !best->always)) best = {to, absl::StrCat(effect.action, " -> ", effect.type), always};
      }
      if (best) edges[from].push_back(*best);
    }
  }
  // The shortest way from the rule back to itself, through a given first edge.
  const auto way = [&](const loops::Edge& first, bool always) -> std::optional<std::string> {
    std::map<size_t, std::pair<size_t, const loops::Edge*>> came;  // to -> from, by what
    std::deque<size_t> ahead = {first.to};
    std::set<size_t> seen = {first.to};
    bool found = first.to == 0;
    while (!found && !ahead.empty()) {
      const size_t from = ahead.front();
      ahead.pop_front();
      for (const loops::Edge& edge : edges[from]) {
        if (always && !edge.always) continue;
        if (edge.to != 0 && !seen.insert(edge.to).second) continue;
        came[edge.to] = {from, &edge};
        if (edge.to == 0) {
          found = true;
          break;
        }
        ahead.push_back(edge.to);
      }
    }
    if (!found) return std::nullopt;
    std::string back;
    if (first.to != 0) {
      for (size_t at = 0;;) {
        const auto& [from, edge] = came.at(at);
        back = absl::StrCat(rules[from]->rule().name(), ": ", edge->text, " -> ", back);
        at = from;
        if (at == first.to) break;
      }
    }
    return absl::StrCat(rules[0]->rule().name(), ": ", first.text, " -> ", back, rules[0]->rule().name());
  };
  Loops result;
  for (const loops::Edge& first : edges[0]) {
    if (first.always) {
      if (auto endless = way(first, true)) {
        result.endless = *std::move(endless);
        return result;
      }
    }
    if (result.possible.size() >= loops::kPossibleMax) continue;
    if (auto possible = way(first, false)) result.possible.push_back(*std::move(possible));
  }
  return result;
}

}  // namespace crm::scheduler::automation
