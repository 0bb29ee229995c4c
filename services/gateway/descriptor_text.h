// What a descriptor says to people: its comment, and the behaviours that documents name.
#pragma once

#include <absl/strings/ascii.h>
#include <absl/strings/str_replace.h>
#include <google/protobuf/descriptor.h>

#include <string>

#include "google/api/field_behavior.pb.h"

namespace crm::gateway {

// The comment of a message, field, enum, value or rpc, its lines joined. Empty if the descriptor set has none.
template <typename Descriptor>
std::string CommentOf(const Descriptor* descriptor) {
  google::protobuf::SourceLocation location;
  if (!descriptor->GetSourceLocation(&location)) return "";
  std::string text = location.leading_comments.empty() ? location.trailing_comments : location.leading_comments;
  return std::string(absl::StripAsciiWhitespace(absl::StrReplaceAll(text, {{"\n ", " "}, {"\n", " "}})));
}

inline bool HasBehavior(const google::protobuf::FieldDescriptor* field, google::api::FieldBehavior behavior) {
  const auto& options = field->options();
  for (int i = 0; i < options.ExtensionSize(google::api::field_behavior); ++i) {
    if (options.GetExtension(google::api::field_behavior, i) == behavior) return true;
  }
  return false;
}

}  // namespace crm::gateway
