// What is wrong with a caller's JSON, and where.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/json/json.h"

namespace crm::json::reading {

// Where in the message we are: a list up the stack, made into text only for an error. Null is the top.
struct Path {
  const Path* parent = nullptr;
  absl::string_view name;  // a field, or a map's key
  int index = -1;          // of an element; then there is no name
  bool key = false;
};

class Violations {
 public:
  void Add(const Path* path, Reason reason, std::string description);
  bool full() const { return listed_.size() == kViolationsMax; }
  void Count() { ++count_; }
  bool empty() const { return count_ == 0; }

  // OK, or INVALID_ARGUMENT with what is listed.
  absl::Status status() const;

 private:
  std::vector<FieldViolation> listed_;
  std::size_t count_ = 0;
  Reason reason_ = type::v1::ERROR_REASON_UNSPECIFIED;
};

// What an error says of a name that the type does not have, with the nearest one that it has.
std::string NoSuchField(const google::protobuf::Descriptor* type, absl::string_view name);

// "must be one of ..."
std::string OneOf(const google::protobuf::EnumDescriptor* type);

}  // namespace crm::json::reading
