// What is checked of each message type, compiled once from its descriptor's options.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/rpc/validation_rules.h"

namespace crm::rpc::validation {

using google::protobuf::OneofDescriptor;

struct Plan;

// What is inside a message: the walk, in validation.cc.
class MessageRule final : public Rule {
 public:
  const Plan* plan = nullptr;
  void Check(const Value& value, const Path* path, Run& run) const override;
};

// What is checked of one value: the standard's rules, and what is inside a message.
struct Checks {
  std::vector<std::unique_ptr<Rule>> rules;
  bool skip_zero = false;
  bool Any() const { return !rules.empty(); }
  void Run(const Value& value, const Path* path, validation::Run& run) const {
    if (skip_zero && value.zero()) return;
    for (const auto& rule : rules) rule->Check(value, path, run);
  }
};

struct FieldPlan {
  const FieldDescriptor* field = nullptr;
  bool presence = false;
  bool required = false;
  bool skip_empty = false;  // of a list or map
  bool unique = false;
  uint64_t size_min = 0, size_max = ~uint64_t{0};
  Checks keys, values;
  const Plan* record = nullptr;  // of a single stored record: what an update changes in part
};

struct OneOf {
  std::vector<const FieldDescriptor*> fields;
  bool required = false;
};

struct Plan {
  const Descriptor* type = nullptr;
  std::vector<FieldPlan> fields;
  std::vector<const OneofDescriptor*> oneofs;  // required ones
  std::vector<OneOf> message_oneofs;
  std::vector<const Plan*> inside;
  std::vector<std::string> errors;  // rules that we do not know
};

struct Entry {
  const Plan* plan;
  absl::Status rules;  // whether all that it contains is known
};

// Compiled at the first call for a type, kept for the life of the process. Thread-safe.
const Entry& EntryOf(const Descriptor* type);

}  // namespace crm::rpc::validation
