// covers: services/scheduler/rules/automation_value.cc
// Values that rules set: text becomes what the field holds, or is refused by the rule's field; a list keeps what it had.
#include <memory>

#include "crm/testing/v1/thing.pb.h"
#include "services/scheduler/rules/automation_value.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(rule_value) {
  using namespace crm;
  using crm::testing::v1::Thing;
  using scheduler::v1::SetFieldAction;
  static const Call call = [] {
    Call made;
    made.start = absl::FromUnixSeconds(1795424400);
    made.time_zone = "Europe/Berlin";
    return made;
  }();
  static const Thing before = [] {
    Thing thing;
    thing.add_tags("red");
    thing.add_tags("blue");
    thing.add_kinds(crm::testing::v1::KIND_ODD);
    thing.add_watcher_ids("user_01h455vb4pex5vsknk084sn02q");
    return thing;
  }();
  static const SetFieldAction::Operation kOperations[] = {SetFieldAction::OPERATION_SET, SetFieldAction::OPERATION_ADD,
                                                          SetFieldAction::OPERATION_REMOVE};
  const auto operation = input.Of(kOperations);
  const std::string name(input.Line());
  const std::string value(input.Rest());
  if (!IsUtf8(name) || !IsUtf8(value)) return;  // refused before by what carries it
  Thing patch;
  const absl::Status put =
      scheduler::automation::PutValue(call, before, name, operation, value, "rule.actions[0].set_field.value", patch);
  if (!put.ok()) {
    fuzz::Require(ViolationsOf(put).size() == 1, "the error names its field", put.message());
    return fuzz::RequireRefusal(put);
  }
  fuzz::Require(scheduler::automation::Settable(Thing::descriptor(), name), "only what may be set is", name);
  std::vector<const google::protobuf::FieldDescriptor*> set;
  patch.GetReflection()->ListFields(patch, &set);
  fuzz::Require(set.size() <= 1 && (set.empty() || name.substr(0, name.find('.')) == set[0]->name()),
                "the field is set, and no other", patch.ShortDebugString());
  if (value.empty()) return;
  if (operation == SetFieldAction::OPERATION_ADD && name == "tags") {
    fuzz::Require(patch.tags_size() >= 2 && patch.tags(0) == "red" && patch.tags(1) == "blue",
                  "a list keeps what it had");
  }
  if (operation == SetFieldAction::OPERATION_REMOVE && name == "tags") {
    for (const auto& tag : patch.tags()) fuzz::Require(tag != value, "what is taken out is gone", tag);
  }
}
