#include "common/json/violations.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <utility>

#include "common/json/text.h"

namespace crm::json::reading {

// Whether a name can stand in a path as it is; what a caller made up may hold anything.
bool Plain(const Path& path) {
  constexpr std::size_t kKeyMax = 64, kNameMax = 256;
  return !path.name.empty() && path.name.size() <= (path.key ? kKeyMax : kNameMax) &&
         std::all_of(path.name.begin(), path.name.end(), [&](char c) {
           return absl::ascii_isalnum(c) || c == '_' || (!path.key && (c == '.' || c == '@'));
         });
}

std::string Rendered(const Path* path) {
  if (path == nullptr) return "";
  std::string text = Rendered(path->parent);
  if (path->index >= 0) {
    absl::StrAppend(&text, "[", path->index, "]");
  } else if (!Plain(*path)) {
    absl::StrAppend(&text, "[", text::Quoted(path->name), "]");
  } else {
    absl::StrAppend(&text, text.empty() ? "" : ".", path->name);
  }
  return text;
}

void Violations::Add(const Path* path, Reason reason, std::string description) {
  if (count_++ == 0) reason_ = reason;
  if (listed_.size() < kViolationsMax) listed_.push_back({Rendered(path), std::move(description)});
}

absl::Status Violations::status() const {
  if (empty()) return absl::OkStatus();
  constexpr std::size_t kInText = 3;  // the sentence names the first few, the details all
  std::string text;
  for (std::size_t i = 0; i < std::min(kInText, listed_.size()); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : "; ", listed_[i].field, listed_[i].field.empty() ? "" : " ",
                    listed_[i].description);
  }
  if (count_ > kInText) absl::StrAppend(&text, "; and ", count_ - kInText, " more");
  absl::Status status =
      Error(absl::StatusCode::kInvalidArgument, reason_, std::move(text), {{"field", listed_[0].field}});
  for (const auto& violation : listed_) AddViolation(status, violation);
  return status;
}

// How many letters differ; gives up above 2.
int Distance(absl::string_view a, absl::string_view b) {
  constexpr int kFar = 3;
  if (a.size() > 64 || b.size() > 64 || std::max(a.size(), b.size()) - std::min(a.size(), b.size()) >= kFar)
    return kFar;
  std::vector<int> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string NoSuchField(const google::protobuf::Descriptor* type, absl::string_view name) {
  std::string text = absl::StrCat("is no field of ", type->name());
  const google::protobuf::FieldDescriptor* best = nullptr;
  int best_distance = 3;
  const std::string snake = text::SnakeCase(name.substr(0, 64));
  for (int i = 0; i < type->field_count(); ++i) {
    const int distance = Distance(snake, type->field(i)->name());
    if (distance < best_distance) {
      best = type->field(i);
      best_distance = distance;
    }
  }
  if (best != nullptr) absl::StrAppend(&text, "; did you mean ", best->name(), "?");
  return text;
}

std::string OneOf(const google::protobuf::EnumDescriptor* type) {
  constexpr int kListed = 40;
  std::vector<std::string> names;
  for (int i = 0; i < std::min(kListed, type->value_count()); ++i) names.push_back(type->value(i)->name());
  if (type->value_count() > kListed) names.push_back("...");
  return absl::StrCat("must be one of ", absl::StrJoin(names, ", "));
}

}  // namespace crm::json::reading
