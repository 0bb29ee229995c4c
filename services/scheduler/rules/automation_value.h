// The value of set_field: a text that becomes what the field holds.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/message.h>

#include <string>

#include "common/base/call.h"
#include "crm/scheduler/v1/rule.pb.h"

namespace crm::scheduler::automation {

// Whether automation may set a field ("amount", "custom_fields.size") of this kind of record: not what is kept by the
// system, fixed once made, or made of parts.
bool Settable(const google::protobuf::Descriptor* record, absl::string_view field);

// Puts the value into the field of `patch`, a message of the record's type, so that an update with the mask `field` sets
// it. `before` is the record as it is: what ADD and REMOVE start from. The value is read as the field wants it:
//   text, id, list of texts   as it is; lists separated by commas
//   number, bool, enum        1200.50, true, LIFECYCLE_CUSTOMER
//   date                      2026-11-23, today(), days(3)
//   time                      2026-11-23T10:15:00Z, now(), today(), days(3)
//   money                     100.00 EUR
//   a map's or Struct's key   text; in a Struct also numbers, true and false; "12" in quotes is text
// Days are those of the call's zone and time. An empty value clears. INVALID_ARGUMENT about `where`.
absl::Status PutValue(const Call& call, const google::protobuf::Message& before, absl::string_view field,
                      v1::SetFieldAction::Operation operation, const std::string& value, absl::string_view where,
                      google::protobuf::Message& patch);

}  // namespace crm::scheduler::automation
