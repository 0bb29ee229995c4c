// A rule made ready to be asked and run: its conditions parsed, its actions numbered and laid out flat.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/call.h"
#include "common/base/filter.h"
#include "common/base/filter_match.h"
#include "crm/scheduler/v1/rule.pb.h"
#include "services/scheduler/rules/automation_catalogue.h"

namespace crm::scheduler::automation {

// Branches inside branches, and steps of a whole rule: what a person can still oversee.
inline constexpr int kBranchDepthMax = 5;
inline constexpr int kStepsMax = 100;

// One action in its place. Steps only lead forwards: every run ends.
struct Step {
  std::string path;  // "2", "3.then.1"
  const v1::Action* action = nullptr;
  int next = -1;       // what follows; -1 for the end
  int then = -1;       // of a branch: if the condition holds
  int otherwise = -1;  // of a branch: if not
  filter::Node condition;
};

// What an action is called in logs: "create_task".
std::string ActionName(const v1::Action& action);

class Program {
 public:
  // INVALID_ARGUMENT for a rule whose conditions cannot be read, or which is too large.
  static absl::StatusOr<std::shared_ptr<const Program>> Compile(v1::Rule rule);

  const v1::Rule& rule() const { return rule_; }
  const filter::Node& condition() const { return condition_; }
  const std::vector<Step>& steps() const { return steps_; }
  int first() const { return first_; }
  // -1 if there is no such step.
  int Find(absl::string_view path) const;
  // The kind of record that it is about; nullptr for one that is not known.
  const ObjectKind* object() const { return object_; }

  // Whether an event sets the rule off at once: the trigger only, then the condition too. Always false for triggers of
  // time.
  bool Triggers(const Call& call, const Opened& event) const;
  bool Matches(const Call& call, const Opened& event) const;
  // Whether the condition holds for a record as it stands now. `event` stands behind `event.` and `payload.`; without
  // one they are empty. `neighbours` stand behind their kinds' names: `conversation.waiting = true`.
  absl::StatusOr<bool> Holds(const Call& call, const filter::Node& condition, const google::protobuf::Message& record,
                             const Opened* event, std::vector<filter::Root> neighbours = {}) const;

 private:
  absl::StatusOr<int> Emit(const google::protobuf::RepeatedPtrField<v1::Action>& actions, const std::string& prefix,
                           int after, int depth);

  v1::Rule rule_;
  filter::Node condition_;
  std::optional<filter::Node> to_;
  std::vector<Step> steps_;
  int first_ = -1;
  const ObjectKind* object_ = nullptr;
};

// The kind of record that a trigger is about; nullptr for one that is not known.
const ObjectKind* ObjectOf(const v1::Trigger& trigger);
// Whether an event of this kind can set the trigger off at once.
bool Hears(const v1::Trigger& trigger, const EventKind& event);

// The id of the record of a kind that a record is, or names in its `<kind>_id`; "" if neither.
std::string IdOf(const google::protobuf::Message& record, absl::string_view object);

// The kinds of records that a condition asks about beside the record itself: "conversation" for `conversation.waiting`.
std::set<std::string> NeighboursIn(const filter::Node& condition, const google::protobuf::Descriptor* record);

// The record that an action's target names: the kind of record, or an error about `field`.
absl::StatusOr<const ObjectKind*> TargetOf(const ObjectKind& object, absl::string_view target, absl::string_view field);

}  // namespace crm::scheduler::automation
