// The rules of one value, as buf.validate and our own options state them, and the violations that they find.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <re2/re2.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "common/base/error.h"
#include "common/rpc/validation.h"
#include "common/rpc/validation_forms.h"

namespace crm::rpc::validation {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// ---- violations ----

// Where in the message we are: a list up the stack, made into text only for a violation. Null is the top.
struct Path {
  const Path* parent = nullptr;
  const FieldDescriptor* field = nullptr;
  int index = -1;                    // of an element
  const std::string* key = nullptr;  // of a map's entry
};

// Struct, Value and wrappers look like plain JSON from outside: their own fields are no part of a path.
bool Transparent(const Descriptor* type);

std::string Rendered(const Path* path);

class Violations {
 public:
  // Describing costs; what is not listed is only counted.
  template <typename Describe>
  void Add(const Path* path, Describe describe, Reason reason = type::v1::ERROR_REASON_FIELD_INVALID) {
    if (count_++ == 0) reason_ = reason;
    if (reason != reason_) reason_ = type::v1::ERROR_REASON_FIELD_INVALID;
    if (listed_.size() >= kViolationsMax || bytes_ >= kViolationBytesMax) return;
    listed_.push_back({Rendered(path), describe()});
    bytes_ += listed_.back().field.size() + listed_.back().description.size();
  }
  void Add(const Path* path, const char* description) {
    Add(path, [&] { return std::string(description); });
  }

  // OK, or INVALID_ARGUMENT with what is listed.
  absl::Status status() const;

 private:
  // A status travels in HTTP/2 trailers, of which gRPC takes 8 KiB, as base64 beside its text.
  static constexpr std::size_t kViolationBytesMax = 3 << 10;

  std::vector<FieldViolation> listed_;
  std::size_t count_ = 0, bytes_ = 0;
  Reason reason_ = type::v1::ERROR_REASON_UNSPECIFIED;
};

// ---- values ----

// One value of a field, whatever its kind.
struct Value {
  int64_t i = 0;                   // int32, int64, enum, bool
  uint64_t u = 0;                  // uint32, uint64
  double d = 0;                    // double, float
  const std::string* s = nullptr;  // string, bytes
  const Message* m = nullptr;
  std::string scratch;  // where reflection may put `s`

  bool zero() const {
    return s != nullptr ? s->empty() : m == nullptr && i == 0 && u == 0 && std::bit_cast<uint64_t>(d) == 0;
  }
};

// Reads a field of the message, or an element of it; `index` is -1 for a single one.
void Get(const Message& message, const FieldDescriptor* field, int index, Value& value);

// Of a Timestamp or Duration.
absl::Duration DurationOf(const Message& message);
absl::Time TimeOf(const Message& message);

// ---- rules of one value ----

struct Run {
  absl::Time now;
  Violations violations;
};

class Rule {
 public:
  virtual ~Rule() = default;
  virtual void Check(const Value& value, const Path* path, Run& run) const = 0;
};

template <typename List, typename Name>
std::string Listed(const List& list, Name name) {
  constexpr int kShown = 20;
  std::vector<std::string> names;
  for (const auto& item : list) {
    if (names.size() == kShown) {
      names.push_back("...");
      break;
    }
    names.push_back(name(item));
  }
  return absl::StrJoin(names, ", ");
}

// lt / lte / gt / gte of anything ordered. As the standard has it, a lower bound above the upper one means "outside".
template <typename T>
struct Range {
  std::optional<T> low, high;
  bool low_open = false, high_open = false;

  bool Holds(const T& value) const {
    const bool above = !low || (low_open ? *low < value : *low <= value);
    const bool below = !high || (high_open ? value < *high : value <= *high);
    return low && high && *high < *low ? above || below : above && below;
  }
  template <typename Text>
  std::string Description(Text text) const {
    std::string lower, upper;
    if (low) lower = absl::StrCat(low_open ? "greater than " : "at least ", text(*low));
    if (high) upper = absl::StrCat(high_open ? "less than " : "at most ", text(*high));
    if (lower.empty() || upper.empty()) return absl::StrCat("must be ", lower, upper);
    return *high < *low ? absl::StrCat("must be ", upper, " or ", lower)
                        : absl::StrCat("must be ", lower, " and ", upper);
  }
};

// const, in and not_in of anything comparable; false after a violation.
template <typename T>
struct Members {
  std::optional<T> only;
  std::vector<T> in, not_in;

  template <typename V, typename Text>
  bool Check(const V& value, const Path* path, Run& run, Text text) const {
    if (only && !(*only == value)) {
      return run.violations.Add(path, [&] { return absl::StrCat("must be ", text(*only)); }), false;
    }
    auto is = [&](const T& item) { return item == value; };
    if (!in.empty() && std::none_of(in.begin(), in.end(), is)) {
      return run.violations.Add(path, [&] { return absl::StrCat("must be one of ", Listed(in, text)); }), false;
    }
    if (std::any_of(not_in.begin(), not_in.end(), is)) {
      return run.violations.Add(path, [&] { return absl::StrCat("must not be ", Listed(not_in, text)); }), false;
    }
    return true;
  }
};

template <typename T>
class NumberRule final : public Rule {
 public:
  Range<T> range;
  Members<T> members;

  void Check(const Value& value, const Path* path, Run& run) const override {
    T number;
    if constexpr (std::is_floating_point_v<T>) {
      number = static_cast<T>(value.d);
      if (!std::isfinite(number)) return run.violations.Add(path, "must be a finite number");
    } else if constexpr (std::is_signed_v<T>) {
      number = static_cast<T>(value.i);
    } else {
      number = static_cast<T>(value.u);
    }
    auto text = [](T item) { return absl::StrCat(item); };
    if (!members.Check(number, path, run, text)) return;
    if (!range.Holds(number)) run.violations.Add(path, [&] { return range.Description(text); });
  }
};

class BoolRule final : public Rule {
 public:
  bool only = false;
  void Check(const Value& value, const Path* path, Run& run) const override;
};

class EnumRule final : public Rule {
 public:
  const EnumDescriptor* type = nullptr;
  bool defined_only = false;
  Members<int> members;

  std::string Name(int number) const;
  void Check(const Value& value, const Path* path, Run& run) const override;
};

// Strings and bytes; lengths of strings are counted in code points.
class TextRule final : public Rule {
 public:
  bool text = true;
  std::optional<uint64_t> length, length_min, length_max, bytes, bytes_min, bytes_max;
  std::unique_ptr<RE2> pattern;
  std::optional<std::string> prefix, suffix, contains, contains_not;
  Members<std::string> members;
  const Form* form = nullptr;
  std::string reference;  // prefixes separated by commas, "*" for any
  bool listed = false;    // an element: then not empty
  std::vector<std::string> prefixes;
  bool day = false;  // the field's `date`: patterns let 2026-02-30 through

  void Check(const Value& value, const Path* path, Run& run) const override;

 private:
  bool Length(const std::string& s, const Path* path, Run& run) const;
  void CheckReference(const std::string& s, const Path* path, Run& run) const;
};

class TimeRule final : public Rule {
 public:
  Range<absl::Time> range;
  Members<absl::Time> members;
  bool past = false, future = false;
  std::optional<absl::Duration> within;

  void Check(const Value& value, const Path* path, Run& run) const override;
};

class DurationRule final : public Rule {
 public:
  Range<absl::Duration> range;
  Members<absl::Duration> members;

  void Check(const Value& value, const Path* path, Run& run) const override;
};

class MaskRule final : public Rule {
 public:
  std::optional<std::vector<std::string>> only;
  std::vector<std::string> in, not_in;

  static bool Covers(const std::vector<std::string>& list, const std::string& path);
  void Check(const Value& value, const Path* path, Run& run) const override;
};

class AnyRule final : public Rule {
 public:
  Members<std::string> urls;
  void Check(const Value& value, const Path* path, Run& run) const override;
};

// The rules of a wrapper's type are about the value inside.
class WrapperRule final : public Rule {
 public:
  std::unique_ptr<Rule> inner;
  void Check(const Value& value, const Path* path, Run& run) const override;
};

}  // namespace crm::rpc::validation
