// Checks a request against what its proto says: the rules of buf.validate (github.com/bufbuild/protovalidate, without
// CEL) and those of our own that hold for every message. Rules are compiled once per message type, at first use or by
// CheckRules at start; thread-safe. Types are generated ones, or of a pool that lives as long as the process.
//
// Of buf.validate: string, bytes, all numbers, bool, enum, repeated, map, any, duration, timestamp, field_mask,
// `required`, `ignore`, oneof `required`, message `oneof`. As the standard says, rules skip an absent field that has
// presence (optional, message, oneof member) and meet the zero value of every other, unless it says
// IGNORE_IF_ZERO_VALUE.
//
// Of our own, for every message:
//   strings              UTF-8 without NUL, at most kStringBytesMax unless the field has a length rule of its own
//   (field).ref          if not empty, a TypeID of one of the prefixes; "*": any TypeID. REFERENCE_INVALID otherwise.
//                        In a list no element is empty
//   double, float        finite; JSON has nothing else
//   Timestamp, Duration  in the range that their protos give
// An update: where a request has `update_mask` with paths and a message beside it, only the fields of that message which the
// mask names, and its id, are held to their rules: what is not set is not what it is changed to.
// Inside Struct and Value the same holds; what an Any holds is not looked at.
#pragma once

#include <absl/status/status.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace crm::rpc {

// The longest string that a field without its own max_len, len, max_bytes or len_bytes takes: the longest texts people
// write (notes, mail bodies) fit, and one field cannot fill a row, a log line or an index.
inline constexpr std::size_t kStringBytesMax = 64 << 10;

// Violations listed in one error; more are counted, not listed: a status has to fit into gRPC's 8 KiB of trailers.
inline constexpr std::size_t kViolationsMax = 20;

// OK, or INVALID_ARGUMENT with every violation, by snake_case path: "contact.phones[0].number", "labels.color",
// "labels[\"a b\"]". `now` is what lt_now, gt_now and within compare with. The reason is FIELD_INVALID, or
// REFERENCE_INVALID if only references are wrong.
absl::Status Validate(const google::protobuf::Message& message, absl::Time now);

// Compiles the rules of a message type and of all that it contains. FAILED_PRECONDITION, naming the field, if a rule is
// one that Validate does not know (CEL, predefined rules, a bad pattern, a rule of another type than the field).
// The server calls it for each request type and does not start on an error.
absl::Status CheckRules(const google::protobuf::Descriptor* type);

}  // namespace crm::rpc
