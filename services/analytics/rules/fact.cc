#include "services/analytics/rules/fact.h"

#include <absl/strings/str_cat.h>

#include <stdexcept>

namespace crm::analytics {
namespace fact {

// The place of a column's type among a value's alternatives.
size_t AlternativeOf(Column::Type type) {
  switch (type) {
    case Column::Type::kBool:
      return 1;
    case Column::Type::kInt:
      return 2;
    case Column::Type::kText:
      return 3;
    case Column::Type::kId:
      return 4;
    case Column::Type::kTime:
      return 5;
    case Column::Type::kDecimal:
      return 6;
    case Column::Type::kIds:
      return 7;
    case Column::Type::kTexts:
      return 8;
    case Column::Type::kInts:
      return 9;
  }
  return 0;
}

struct Printer {
  std::string operator()(std::monostate) const { return kNullText; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return absl::StrCat(value); }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const Uuid& value) const { return value.ToString(); }
  std::string operator()(absl::Time value) const { return absl::StrCat(absl::ToUnixMicros(value)); }
  std::string operator()(const Decimal& value) const { return value.Shortened().ToString(); }
  template <typename T>
  std::string operator()(const std::vector<T>& values) const {
    std::string text;
    for (const T& value : values) {
      text += (*this)(value);
      text += kElementEnd;
    }
    return text;
  }
};

}  // namespace fact

size_t Projection::IndexOf(absl::string_view column) const {
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == column) return i;
  }
  throw std::logic_error(absl::StrCat("the projection ", table, " has no column ", column));
}

Row& Row::Set(absl::string_view column, Value value) {
  const size_t i = projection_->IndexOf(column);
  if (value.index() != 0 && value.index() != fact::AlternativeOf(projection_->columns[i].type)) {
    throw std::logic_error(absl::StrCat("a value of another type for ", projection_->table, ".", column));
  }
  values_[i] = std::move(value);
  return *this;
}

std::string Row::Text() const {
  std::string text;
  for (const Value& value : values_) {
    text += std::visit(fact::Printer(), value);
    text += kColumnEnd;
  }
  return text;
}

std::string Row::Key() const { return KeyOf(*projection_, Text()); }

std::string KeyOf(const Projection& projection, absl::string_view text) {
  size_t end = 0;
  for (size_t i = 0; i < projection.key_count; ++i) {
    const size_t next = text.find(kColumnEnd, end);
    if (next == absl::string_view::npos) break;
    end = next + 1;
  }
  return std::string(text.substr(0, end));
}

}  // namespace crm::analytics
