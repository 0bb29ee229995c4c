// The filter language over a message in memory: for rules and live views, which decide about records that they are
// handed instead of asking a database. It means exactly what common/pg/filter_sql.h makes of it over the record's table
// (a test holds both against each other), except for fields that only a table has (a key table's `phone`): those are
// refused as unknown.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "common/base/call.h"
#include "common/base/filter.h"

namespace crm::filter {

// A further message that a filter may speak of: `event.actor_id = ...`. The record's own fields go first.
struct Root {
  std::string name;
  const google::protobuf::Message* message = nullptr;
};

// Whether the record is one that a list with this filter would answer, as the call's principal at the call's time.
// Conditions are two-valued: what is not set makes a comparison false and its negation true. INVALID_ARGUMENT,
// FILTER_INVALID for unknown fields and values that do not fit, whatever the record holds: a filter that is right for
// an empty message is right for all. PERMISSION_DENIED for personal fields that the caller may not see.
absl::StatusOr<bool> Matches(const Call& call, const Node& node, const google::protobuf::Message& record,
                             const std::vector<Root>& roots = {});

}  // namespace crm::filter
