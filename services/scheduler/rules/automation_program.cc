#include "services/scheduler/rules/automation_program.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "crm/type/v1/options.pb.h"

namespace crm::scheduler::automation {
namespace program {

bool Changed(const events::v1::Event& event, const std::string& field) {
  for (const std::string& changed : event.changed_fields()) {
    if (changed == field || absl::StartsWith(changed, field + ".") || absl::StartsWith(field, changed + "."))
      return true;
  }
  return false;
}

const events::v1::Event& NoEvent() {
  static const auto* event = new events::v1::Event();
  return *event;
}

}  // namespace program

std::string ActionName(const v1::Action& action) {
  const auto* oneof = v1::Action::descriptor()->FindOneofByName("what");
  const auto* field = action.GetReflection()->GetOneofFieldDescriptor(action, oneof);
  return field == nullptr ? "" : field->name();
}

const ObjectKind* ObjectOf(const v1::Trigger& trigger) {
  const Catalogue& catalogue = Catalogue::Get();
  switch (trigger.when_case()) {
    case v1::Trigger::kEvent: {
      const std::vector<std::string> parts = absl::StrSplit(trigger.event().type(), '.');
      if (parts.size() == 2 && parts[1] != "*" && catalogue.FindEvent(trigger.event().type()) == nullptr)
        return nullptr;
      return catalogue.FindObject(parts.front());
    }
    case v1::Trigger::kStageEntered:
    case v1::Trigger::kSilence:
      return catalogue.FindObject("deal");
    case v1::Trigger::kFieldChanged:
      return catalogue.FindObject(trigger.field_changed().object());
    case v1::Trigger::kDate:
      return catalogue.FindObject(trigger.date().object());
    case v1::Trigger::kSchedule:
      return catalogue.FindObject(trigger.schedule().object());
    case v1::Trigger::WHEN_NOT_SET:
      break;
  }
  return nullptr;
}

bool Hears(const v1::Trigger& trigger, const EventKind& event) {
  switch (trigger.when_case()) {
    case v1::Trigger::kEvent:
      return trigger.event().type() == event.type || trigger.event().type() == event.object->name + ".*";
    case v1::Trigger::kStageEntered:
      return event.type == "deal.moved" || event.type == "deal.created";
    case v1::Trigger::kFieldChanged:
      return event.object->name == trigger.field_changed().object();
    default:
      return false;
  }
}

absl::StatusOr<std::shared_ptr<const Program>> Program::Compile(v1::Rule rule) {
  auto program = std::make_shared<Program>();
  program->rule_ = std::move(rule);
  const v1::Rule& r = program->rule_;
  program->object_ = ObjectOf(r.trigger());
  CRM_TRY(program->condition_, filter::Parse(r.condition()));
  if (r.trigger().has_field_changed() && !r.trigger().field_changed().to().empty()) {
    const auto& trigger = r.trigger().field_changed();
    CRM_TRY(program->to_, filter::Parse(absl::StrCat(trigger.field(), " = ", trigger.to())));
  }
  CRM_TRY(program->first_, program->Emit(r.actions(), "", -1, 0));
  return std::shared_ptr<const Program>(std::move(program));
}

// From the last action to the first, so that each knows what follows it.
absl::StatusOr<int> Program::Emit(const google::protobuf::RepeatedPtrField<v1::Action>& actions,
                                  const std::string& prefix, int after, int depth) {
  if (depth > kBranchDepthMax) {
    return FieldError("rule.actions", absl::StrCat("has branches more than ", kBranchDepthMax, " deep"));
  }
  int next = after;
  for (int i = actions.size() - 1; i >= 0; --i) {
    const v1::Action& action = actions[i];
    Step step;
    step.path = absl::StrCat(prefix, i + 1);
    step.action = &action;
    step.next = next;
    if (action.has_branch()) {
      auto condition = filter::Parse(action.branch().condition());
      if (!condition.ok()) return condition.status();
      step.condition = *std::move(condition);
      CRM_TRY(step.then, Emit(action.branch().then(), step.path + ".then.", next, depth + 1));
      CRM_TRY(step.otherwise, Emit(action.branch().otherwise(), step.path + ".otherwise.", next, depth + 1));
    }
    if (action.has_stop()) step.next = -1;
    if (static_cast<int>(steps_.size()) >= kStepsMax) {
      return FieldError("rule.actions", absl::StrCat("has more than ", kStepsMax, " steps"));
    }
    next = static_cast<int>(steps_.size());
    steps_.push_back(std::move(step));
  }
  return next;
}

int Program::Find(absl::string_view path) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].path == path) return static_cast<int>(i);
  }
  return -1;
}

bool Program::Triggers(const Call& call, const Opened& event) const {
  const v1::Trigger& trigger = rule_.trigger();
  if (!Hears(trigger, *event.kind)) return false;
  if (trigger.has_stage_entered()) return TextField(*event.record, "stage_id") == trigger.stage_entered().stage_id();
  if (!trigger.has_field_changed()) return true;
  if (!program::Changed(event.event, trigger.field_changed().field())) return false;
  return !to_ || Holds(call, *to_, *event.record, &event).value_or(false);
}

bool Program::Matches(const Call& call, const Opened& event) const {
  return Triggers(call, event) && Holds(call, condition_, *event.record, &event).value_or(false);
}

absl::StatusOr<bool> Program::Holds(const Call& call, const filter::Node& condition,
                                    const google::protobuf::Message& record, const Opened* event,
                                    std::vector<filter::Root> neighbours) const {
  std::vector<filter::Root> roots = std::move(neighbours);
  roots.push_back({"event", event == nullptr ? &program::NoEvent() : &event->event});
  if (event != nullptr) roots.push_back({"payload", event->payload.get()});
  return filter::Matches(call, condition, record, roots);
}

std::string IdOf(const google::protobuf::Message& record, absl::string_view object) {
  if (record.GetDescriptor()->options().GetExtension(type::v1::record).prefix() == object) {
    return TextField(record, "id");
  }
  return TextField(record, absl::StrCat(object, "_id"));
}

std::set<std::string> NeighboursIn(const filter::Node& condition, const google::protobuf::Descriptor* record) {
  std::set<std::string> names;
  for (const filter::Node& child : condition.children) names.merge(NeighboursIn(child, record));
  if (condition.kind != filter::Node::Kind::kCompare || condition.compare.path.size() < 2) return names;
  const std::string& name = condition.compare.path.front();
  if (record->FindFieldByName(name) == nullptr && Catalogue::Get().FindObject(name) != nullptr) names.insert(name);
  return names;
}

absl::StatusOr<const ObjectKind*> TargetOf(const ObjectKind& object, absl::string_view target,
                                           absl::string_view field) {
  if (target.empty()) return &object;
  const auto* named = object.record->FindFieldByName(std::string(target));
  const std::string ref = named == nullptr ? "" : named->options().GetExtension(type::v1::field).ref();
  const ObjectKind* found = Catalogue::Get().FindObject(ref);
  if (named == nullptr || named->is_repeated() || found == nullptr) {
    return FieldError(std::string(field),
                      absl::StrCat("\"", target, "\" names no record here: a ", object.name, " has no such reference"));
  }
  return found;
}

}  // namespace crm::scheduler::automation
