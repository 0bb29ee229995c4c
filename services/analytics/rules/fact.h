// What a projection is made of: tables described once, and rows of them that know no database. From the description
// follow the statements that store rows (store.cc) and the text that two of them are compared by.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/decimal.h"
#include "common/base/id.h"

namespace crm::analytics {

// Nothing is NULL.
using Value = std::variant<std::monostate, bool, int64_t, std::string, Uuid, absl::Time, Decimal, std::vector<Uuid>,
                           std::vector<std::string>, std::vector<int64_t>>;

struct Column {
  enum class Type { kBool, kInt, kText, kId, kTime, kDecimal, kIds, kTexts, kInts };
  std::string name;
  Type type;
};

// When a row that comes in takes the place of the one that is there. Each rule makes applying an event twice, or after
// a later one of its record, the same as not applying it.
enum class Guard {
  kRevision,  // it is of a later revision of its record
  kFirst,     // never: the first one stays
  kDeal,      // the deal's own row is of the very revision that this row belongs to
};

// A table; the first `key_count` columns are its key. tenant_id, which leads every key, is not listed.
struct Projection {
  std::string table;
  Guard guard;
  size_t key_count;
  std::vector<Column> columns;

  // Throws std::logic_error for a name that is none: a fault of the program.
  size_t IndexOf(absl::string_view column) const;
};

class Row {
 public:
  // `revision`: of the record that it tells of.
  Row(const Projection& projection, int64_t revision)
      : projection_(&projection), revision_(revision), values_(projection.columns.size()) {}

  const Projection& projection() const { return *projection_; }
  int64_t revision() const { return revision_; }
  const std::vector<Value>& values() const { return values_; }

  // Throws std::logic_error when the column is not there or not of the value's type.
  Row& Set(absl::string_view column, Value value);
  template <typename T>
  const T& Get(absl::string_view column) const {
    return std::get<T>(values_[projection_->IndexOf(column)]);
  }
  bool Has(absl::string_view column) const {
    return !std::holds_alternative<std::monostate>(values_[projection_->IndexOf(column)]);
  }
  const Value& At(absl::string_view column) const { return values_[projection_->IndexOf(column)]; }

  // All columns as one text, as LivingSql in store.cc makes it; and the part of it that is the key.
  std::string Text() const;
  std::string Key() const;

 private:
  const Projection* projection_;
  int64_t revision_;
  std::vector<Value> values_;
};

// How Text parts columns, and elements of arrays; and what NULL is.
inline constexpr char kColumnEnd = '\x1f';
inline constexpr char kElementEnd = '\x1e';
inline constexpr char kNullText[] = "\\N";

// The key of a row's text.
std::string KeyOf(const Projection& projection, absl::string_view text);

}  // namespace crm::analytics
