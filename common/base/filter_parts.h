// What the filter's text, its tree and the readers of its values share: errors, and nodes made of parts.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/ascii.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

#include "common/base/filter.h"

namespace crm::filter::parts {

inline constexpr size_t kFoundMax = 20;  // characters of the caller's text that an error repeats

// FILTER_INVALID about `field` of the request, at a place in it; `at` is empty for the whole.
absl::Status Fail(absl::string_view field, absl::string_view at, absl::string_view text);

// What PostgreSQL's text cannot hold, and what nobody types.
absl::Status CheckBytes(absl::string_view text, absl::string_view field, absl::string_view at);

absl::string_view OpText(Op op);

// Why this value cannot stand with this operator; empty if it can.
std::string Mismatch(Op op, const Value& value);

// One node of the parts; And in And and Or in Or become one.
Node Join(Node::Kind kind, std::vector<Node> parts);
Node Not(Node child);
Node Leaf(Compare compare);
Value Special(Value::Kind kind);

inline bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
inline bool IsNameStart(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_'; }
inline bool IsNamePart(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Reads a text that is one function or `me` as a whole, with the language's parser (filter.cc). `field` is what errors
// name.
absl::StatusOr<Value> ParseFunction(absl::string_view text, absl::string_view field);

}  // namespace crm::filter::parts
