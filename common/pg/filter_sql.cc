#include "common/pg/filter_sql.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <limits>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/table_impl.h"

namespace crm::pg {
namespace filter_sql {

using filter::Compare;
using filter::Op;
using google::protobuf::FieldDescriptor;
using record::Column;
using record::Kind;
using Value = filter::Value;

// Levenshtein's distance, for "did you mean".
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1)});
      corner = above;
    }
  }
  return row[b.size()];
}

// "there is no field "amuont"; did you mean "amount" or ...?"
std::string NoSuchField(absl::string_view name, std::vector<std::string> known) {
  static constexpr size_t kNamedMax = 3;
  name = name.substr(0, 80);
  std::vector<std::pair<size_t, std::string>> near;
  for (auto& candidate : known) {
    size_t distance = Distance(name, candidate);
    if (absl::StrContains(candidate, name) || absl::StrContains(name, candidate))
      distance = std::min<size_t>(distance, 2);
    near.emplace_back(distance, std::move(candidate));
  }
  std::sort(near.begin(), near.end());
  const size_t close = std::max<size_t>(2, name.size() / 2);
  std::vector<std::string> named;
  for (const auto& [distance, candidate] : near) {
    if (named.size() < kNamedMax && (distance <= close || named.empty()))
      named.push_back(absl::StrCat("\"", candidate, "\""));
  }
  return absl::StrCat("there is no field \"", name, "\" here; did you mean ", absl::StrJoin(named, " or "), "?");
}

// A LIKE pattern: `%` and `_` of the text stand for themselves.
std::string Pattern(absl::string_view text, bool before, bool after) {
  std::string out;
  if (before) out.push_back('%');
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  if (after) out.push_back('%');
  return out;
}

std::string JsonString(absl::string_view text) {
  std::string out;
  json::AppendString(text, out);
  return out;
}

class Compiler {
 public:
  Compiler(const Call& call, const RecordTable& table, record::SqlBuilder& sql)
      : call_(call), table_(table), impl_(table.impl()), sql_(sql) {}

  absl::StatusOr<std::string> Compile(const filter::Node& node, bool negated) {
    switch (node.kind) {
      case filter::Node::Kind::kNot:
        return Compile(node.children.front(), !negated);
      case filter::Node::Kind::kAnd:
      case filter::Node::Kind::kOr: {
        const bool conjunction = (node.kind == filter::Node::Kind::kAnd) != negated;
        if (node.children.empty()) return std::string(conjunction ? "true" : "false");
        std::vector<std::string> parts;
        for (const auto& child : node.children) {
          CRM_TRY(std::string part, Compile(child, negated));
          parts.push_back(std::move(part));
        }
        if (parts.size() == 1) return std::move(parts.front());
        return absl::StrCat("(", absl::StrJoin(parts, conjunction ? " AND " : " OR "), ")");
      }
      case filter::Node::Kind::kCompare: {
        Compare compare = node.compare;
        if (compare.op == Op::kNotEqual) {
          compare.op = Op::kEqual;
          negated = !negated;
        }
        // "= null" is the opposite of ":*".
        if (compare.op == Op::kEqual && compare.value.kind == Value::Kind::kNull) {
          compare.op = Op::kHas;
          compare.value.kind = Value::Kind::kAny;
          negated = !negated;
        }
        CRM_TRY(std::string leaf, Leaf(compare));
        return negated ? absl::StrCat("(", leaf, ") IS NOT TRUE") : leaf;
      }
    }
    return absl::InternalError("unknown kind of filter node");
  }

 private:
  static bool IsAny(const Compare& c) { return c.value.kind == Value::Kind::kAny; }

  absl::Status Refuse(const Compare& c, absl::string_view why) const {
    return filter::ErrorAt(c, absl::StrCat(c.PathText(), " ", why));
  }

  absl::Status CheckPersonal(const FieldDescriptor* field, const Compare& c) const {
    if (record::InfoOf(field).personal() && !record::SeesPersonal(call_))
      return record::PersonalDataHidden(c.PathText());
    return record::CheckNeeds(call_, impl_, field);
  }

  // A comparison that is neither negated nor with null.
  absl::StatusOr<std::string> Leaf(const Compare& c) {
    const std::string path = c.PathText();
    for (const auto& field : impl_.filter_fields) {
      const absl::string_view name = field.name;
      const bool below = absl::EndsWith(name, ".*") && absl::StartsWith(path, name.substr(0, name.size() - 1));
      if (path != name && !below) continue;
      if (field.personal && !record::SeesPersonal(call_)) return record::PersonalDataHidden(path);
      CRM_TRY(const Fragment fragment, field.compile(call_, c));
      return absl::StrCat("(", sql_.Splice(fragment), ")");
    }
    for (const auto& column : impl_.columns) {
      if (column.field->name() != c.path.front() || column.kind == Kind::kRevision) continue;
      CRM_TRY(CheckPersonal(column.field, c));
      if (column.kind == Kind::kMoneyAmount) {
        if (c.path.size() == 1 || (c.path.size() == 2 && c.path[1] == "amount")) return OfColumn(column, c);
        if (c.path.size() == 2 && c.path[1] == "currency_code") continue;  // the next column
        return filter::ErrorAt(c, NoSuchField(path, {absl::StrCat(c.path.front(), ".amount"),
                                                     absl::StrCat(c.path.front(), ".currency_code")}));
      }
      if (column.kind == Kind::kMoneyCurrency) return OfColumn(column, c);
      if (column.kind == Kind::kJson) return OfJson(column, c);
      if (c.path.size() > 1) return Refuse(c, "does not exist: " + c.path.front() + " has no parts");
      return OfColumn(column, c);
    }
    return filter::ErrorAt(c, NoSuchField(path, FilterableFields(table_)));
  }

  static absl::string_view Sign(Op op) {
    switch (op) {
      case Op::kLess:
        return " < ";
      case Op::kLessEqual:
        return " <= ";
      case Op::kGreater:
        return " > ";
      case Op::kGreaterEqual:
        return " >= ";
      default:
        return " = ";
    }
  }
  static bool Orders(Op op) {
    return op == Op::kLess || op == Op::kLessEqual || op == Op::kGreater || op == Op::kGreaterEqual;
  }

  // Text as it is; `t.c = $n`, wildcards and `:` folded.
  absl::StatusOr<std::string> OfText(const std::string& name, const Compare& c) {
    if (IsAny(c)) return absl::StrCat(name, " <> ''");
    CRM_TRY(const std::string text, filter::TextOf(c));
    const bool wild = c.value.any_before || c.value.any_after;
    if (c.op == Op::kHas) return absl::StrCat(name, " ILIKE ", sql_.Bind(Params().Text(Pattern(text, true, true))));
    if (Orders(c.op)) {
      if (wild) return Refuse(c, "cannot be ordered by a text with *");
      return absl::StrCat("(", name, Sign(c.op), sql_.Bind(Params().Text(text)), "::text AND ", name, " <> '')");
    }
    if (wild) {
      return absl::StrCat(name, " ILIKE ",
                          sql_.Bind(Params().Text(Pattern(text, c.value.any_before, c.value.any_after))));
    }
    return absl::StrCat(name, " = ", sql_.Bind(Params().Text(text)), "::text");
  }

  absl::StatusOr<std::string> OfColumn(const Column& column, const Compare& c) {
    const std::string name = absl::StrCat("t.", column.name);
    const FieldDescriptor* field = column.field;
    switch (column.kind) {
      case Kind::kText: {
        const bool actor = column.ref.empty() && (column.name == "creator_id" || column.name == "updater_id");
        if ((column.ref.empty() && !actor) || IsAny(c)) return OfText(name, c);
        if (Orders(c.op)) return Refuse(c, "is an id: it is or is not equal, it has no order");
        CRM_TRY(auto ids, filter::IdTextsOf(c, call_, actor ? "*" : column.ref));
        if (ids.empty()) return std::string("false");
        return absl::StrCat(name, " = ANY(", sql_.Bind(Params().TextArray(ids)), "::text[])");
      }
      case Kind::kMoneyCurrency:
        return OfText(name, c);
      case Kind::kId:
      case Kind::kRef: {
        if (IsAny(c)) return absl::StrCat(name, " IS NOT NULL");
        if (Orders(c.op)) return Refuse(c, "is an id: it is or is not equal, it has no order");
        CRM_TRY(auto ids, filter::IdsOf(c, call_, column.ref));
        if (ids.empty()) return std::string("false");
        if (ids.size() == 1) return absl::StrCat(name, " = ", sql_.Bind(Params().Id(ids.front())), "::uuid");
        return absl::StrCat(name, " = ANY(", sql_.Bind(Params().IdArray(ids)), "::uuid[])");
      }
      case Kind::kBool: {
        if (IsAny(c)) return column.nullable ? absl::StrCat(name, " IS NOT NULL") : name;
        if (Orders(c.op)) return Refuse(c, "is true or false, it has no order");
        CRM_TRY(const bool value, filter::BoolOf(c));
        return value ? name : absl::StrCat("NOT ", name);
      }
      case Kind::kInt: {
        if (IsAny(c)) return absl::StrCat(name, column.nullable ? " IS NOT NULL" : " <> 0");
        const bool wide =
            field->cpp_type() == FieldDescriptor::CPPTYPE_INT64 || field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
        CRM_TRY(const int64_t value,
                wide ? filter::IntegerOf(c, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max())
                     : filter::IntegerOf(c, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
        return absl::StrCat(name, Sign(c.op), sql_.Bind(Params().Int(value)), wide ? "::bigint" : "::integer");
      }
      case Kind::kDouble:
      case Kind::kDecimal:
      case Kind::kMoneyAmount: {
        if (IsAny(c)) {
          return absl::StrCat(name, column.kind == Kind::kDouble && !column.nullable ? " <> 0" : " IS NOT NULL");
        }
        CRM_TRY(const std::string value, filter::NumberOf(c));
        return absl::StrCat(name, Sign(c.op), sql_.Bind(Params().Decimal(value)),
                            column.kind == Kind::kDouble ? "::double precision" : "::numeric");
      }
      case Kind::kEnum: {
        if (IsAny(c)) return absl::StrCat(name, column.nullable ? " IS NOT NULL" : " <> 0");
        if (Orders(c.op)) return Refuse(c, "has names, not an order: compare with = or !=");
        CRM_TRY(const int value, filter::EnumOf(c, field->enum_type()));
        return absl::StrCat(name, " = ", sql_.Bind(Params().Int(value)), "::smallint");
      }
      case Kind::kDate: {
        if (IsAny(c)) return absl::StrCat(name, " IS NOT NULL");
        CRM_TRY(const std::string date, filter::DateOf(c, call_));
        return absl::StrCat(name, Sign(c.op), sql_.Bind(Params().Text(date)), "::date");
      }
      case Kind::kTime: {
        if (IsAny(c)) return absl::StrCat(name, " IS NOT NULL");
        CRM_TRY(const auto range, filter::TimeRangeOf(c, call_));
        const auto at = [&](absl::string_view sign, absl::Time time) {
          return absl::StrCat(name, sign, sql_.Bind(Params().Time(time)), "::timestamptz");
        };
        switch (c.op) {
          case Op::kLess:
            return at(" < ", range.begin);
          case Op::kLessEqual:
            return range.moment() ? at(" <= ", range.begin) : at(" < ", range.end);
          case Op::kGreater:
            return range.moment() ? at(" > ", range.begin) : at(" >= ", range.end);
          case Op::kGreaterEqual:
            return at(" >= ", range.begin);
          default: {
            if (range.moment()) return at(" = ", range.begin);
            std::string begin = at(" >= ", range.begin);
            return absl::StrCat("(", begin, " AND ", at(" < ", range.end), ")");
          }
        }
      }
      case Kind::kTextArray:
      case Kind::kIdArray:
      case Kind::kIntArray:
      case Kind::kEnumArray:
        return OfArray(column, name, c);
      case Kind::kBytes:
        if (IsAny(c)) return absl::StrCat("length(", name, ") > 0");
        return Refuse(c, "holds bytes, which cannot be compared");
      case Kind::kJson:
      case Kind::kRevision:
        break;
    }
    return Refuse(c, "cannot be filtered by");
  }

  absl::StatusOr<std::string> OfArray(const Column& column, const std::string& name, const Compare& c) {
    // The second half says what an index that leaves empty lists out needs to hear.
    const std::string filled = absl::StrCat(name, " <> '{}'");
    if (IsAny(c)) return filled;
    if (c.op != Op::kHas) return Refuse(c, "is a list: ask for an element with `:`");
    std::string has;
    if (column.kind == Kind::kIdArray) {
      CRM_TRY(auto ids, filter::IdsOf(c, call_, column.ref));
      if (ids.empty()) return std::string("false");
      has = absl::StrCat(name, " && ", sql_.Bind(Params().IdArray(ids)), "::uuid[]");
    } else if (column.kind == Kind::kEnumArray) {
      CRM_TRY(const int value, filter::EnumOf(c, column.field->enum_type()));
      has = absl::StrCat(name, " @> ", sql_.Bind(Params().IntArray({value})), "::smallint[]");
    } else if (column.kind == Kind::kIntArray) {
      CRM_TRY(const int64_t value,
              filter::IntegerOf(c, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
      has = absl::StrCat(name, " @> ", sql_.Bind(Params().IntArray({value})), "::integer[]");
    } else if (!column.ref.empty()) {
      CRM_TRY(auto ids, filter::IdTextsOf(c, call_, column.ref));
      if (ids.empty()) return std::string("false");
      has = absl::StrCat(name, " && ", sql_.Bind(Params().TextArray(ids)), "::text[]");
    } else {
      CRM_TRY(const std::string text, filter::TextOf(c));
      if (c.value.any_before || c.value.any_after) {
        has = absl::StrCat("EXISTS (SELECT 1 FROM unnest(", name, ") e WHERE e ILIKE ",
                           sql_.Bind(Params().Text(Pattern(text, c.value.any_before, c.value.any_after))), ")");
      } else {
        has = absl::StrCat(name, " @> ", sql_.Bind(Params().TextArray({text})), "::text[]");
      }
    }
    return absl::StrCat("(", has, " AND ", filled, ")");
  }

  // ---- jsonb ----
  // A place inside a jsonb column. Paths are lax: lists on the way are walked, what is missing is skipped, and with
  // `silent` nothing is left that could raise.

  struct Place {
    std::string column;                      // "t.address"
    std::optional<std::string> key;          // of a map or Struct: below its value
    std::string path = "$";                  // jsonpath below that; names of fields only
    std::string before, after;               // JSON around a value, from the column down: {"address":{"city": ... }}
    bool listed = false;                     // some list is walked
    const FieldDescriptor* field = nullptr;  // what stands there; null for anything (a Struct's member)
  };

  // Parameters are bound where they are used: one that no text names has no type, and is refused.
  std::string Base(const Place& place) {
    if (!place.key) return place.column;
    return absl::StrCat("(", place.column, " -> ", sql_.Bind(Params().Text(*place.key)), "::text)");
  }
  std::string Exists(const Place& place, absl::string_view condition, absl::string_view value) {
    const std::string base = Base(place);
    return absl::StrCat("jsonb_path_exists(", base, ", 'lax ", place.path, condition, "', ",
                        value.empty() ? "'{}'" : sql_.Bind(Params().Text(absl::StrCat("{\"v\":", value, "}"))),
                        "::jsonb, true)");
  }
  std::string Holds(const Place& place, absl::string_view value) {
    return absl::StrCat(place.column, " @> ", sql_.Bind(Params().Text(absl::StrCat(place.before, value, place.after))),
                        "::jsonb");
  }
  std::string Matches(const Place& place, const std::string& pattern) {
    const std::string base = Base(place);
    return absl::StrCat("EXISTS (SELECT 1 FROM jsonb_path_query(", base, ", 'lax ", place.path,
                        place.field != nullptr && place.field->is_repeated() ? "[*]" : "",
                        "', '{}'::jsonb, true) e WHERE jsonb_typeof(e) = 'string' AND (e #>> '{}') ILIKE ",
                        sql_.Bind(Params().Text(pattern)), ")");
  }

  absl::StatusOr<std::string> OfJson(const Column& column, const Compare& c) {
    const std::string name = absl::StrCat("t.", column.name);
    const FieldDescriptor* field = column.field;
    Place place{.column = name, .field = field};
    size_t depth = 1;
    const bool keyed = field->is_map() || (!field->is_repeated() && field->message_type() != nullptr &&
                                           field->message_type() == google::protobuf::Struct::descriptor());
    if (c.path.size() == 1) {
      if (IsAny(c)) {
        if (!field->is_repeated() && !keyed) return absl::StrCat(name, " IS NOT NULL");
        return absl::StrCat(name, " <> '", keyed ? "{}" : "[]", "'::jsonb");
      }
      if (keyed && c.op == Op::kHas) {
        CRM_TRY(const std::string key, filter::TextOf(c));
        return absl::StrCat(name, " ? ", sql_.Bind(Params().Text(key)), "::text");
      }
      if (keyed) return Refuse(c, "is a map: ask for a key with `:`, or for " + c.path.front() + ".<key>");
      std::vector<std::string> parts;
      for (int i = 0; i < field->message_type()->field_count(); ++i) {
        parts.push_back(absl::StrCat(c.path.front(), ".", field->message_type()->field(i)->name()));
      }
      return Refuse(c, absl::StrCat("has parts: compare one of ", absl::StrJoin(parts, ", ")));
    }
    if (keyed) {
      place.key = c.path[1];
      absl::StrAppend(&place.before, "{", JsonString(c.path[1]), ":");
      place.after.insert(0, "}");
      place.field = field->is_map() ? field->message_type()->map_value() : nullptr;
      depth = 2;
    } else if (field->is_repeated()) {
      place.listed = true;
      absl::StrAppend(&place.before, "[");
      place.after.insert(0, "]");
    }
    for (; depth < c.path.size(); ++depth) {
      const auto* message = place.field == nullptr ? nullptr : place.field->message_type();
      const auto* next = message == nullptr ? nullptr : message->FindFieldByName(c.path[depth]);
      if (next == nullptr || (depth > 1 && place.field->is_map())) {
        std::vector<std::string> parts;
        for (int i = 0; message != nullptr && i < message->field_count(); ++i)
          parts.push_back(message->field(i)->name());
        if (parts.empty()) return Refuse(c, "does not exist: the field before the last point has no parts");
        return filter::ErrorAt(c, NoSuchField(c.path[depth], std::move(parts)));
      }
      if (depth > 1 && place.field->is_repeated()) {
        place.listed = true;
        absl::StrAppend(&place.before, "[");
        place.after.insert(0, "]");
      }
      CRM_TRY(CheckPersonal(next, c));
      absl::StrAppend(&place.path, ".\"", next->name(), "\"");
      absl::StrAppend(&place.before, "{\"", next->name(), "\":");
      place.after.insert(0, "}");
      place.field = next;
    }
    if (place.field == nullptr) return OfAnything(place, c);
    return OfPlace(place, c);
  }

  // Outside lists and maps, a value that equals the proto's default is also there when nothing is: an unset message, or
  // a row from before the field.
  template <typename Equal>
  std::string OrUnset(const Place& place, bool is_default, Equal equal, absl::string_view other) {
    if (!is_default || place.listed || place.key) return equal();
    return absl::StrCat("(", Exists(place, absl::StrCat(" ? (@ != ", other, ")"), ""), ") IS NOT TRUE");
  }

  absl::StatusOr<std::string> OfPlace(const Place& place, const Compare& c) {
    const FieldDescriptor* field = place.field;
    if (field->is_map()) return Refuse(c, "is a map inside a message, which cannot be filtered by");
    if (field->is_repeated()) {
      if (IsAny(c)) return Exists(place, "[*]", "");
      if (c.op != Op::kHas) return Refuse(c, "is a list: ask for an element with `:`");
    } else if (IsAny(c)) {
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          return Exists(place, " ? (@ != \"\")", "");
        case FieldDescriptor::CPPTYPE_BOOL:
          return Exists(place, " ? (@ == true)", "");
        case FieldDescriptor::CPPTYPE_ENUM:
          return Exists(place, absl::StrCat(" ? (@ != \"", field->default_value_enum()->name(), "\")"), "");
        case FieldDescriptor::CPPTYPE_MESSAGE:
          return Exists(place, "", "");
        default:
          return Exists(place, " ? (@ != 0)", "");
      }
    }
    const auto& info = record::InfoOf(field);
    const std::string list_before = field->is_repeated() ? "[" : "", list_after = field->is_repeated() ? "]" : "";
    const auto holds = [&](absl::string_view value) {
      return Holds(place, absl::StrCat(list_before, value, list_after));
    };
    const std::string elements = field->is_repeated() ? "[*]" : "";
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        if (field->type() == FieldDescriptor::TYPE_BYTES) return Refuse(c, "holds bytes, which cannot be compared");
        if (info.decimal()) return Refuse(c, "is a decimal inside a message, which can only be asked for with :*");
        if (!info.ref().empty()) {
          if (Orders(c.op)) return Refuse(c, "is an id: it is or is not equal, it has no order");
          CRM_TRY(auto ids, filter::IdTextsOf(c, call_, info.ref()));
          if (ids.empty()) return std::string("false");
          std::vector<std::string> any;
          for (const auto& id : ids) any.push_back(holds(JsonString(id)));
          return absl::StrCat("(", absl::StrJoin(any, " OR "), ")");
        }
        if (info.date() && Orders(c.op)) {
          CRM_TRY(const std::string date, filter::DateOf(c, call_));
          return Exists(place, absl::StrCat(" ? (@", Sign(c.op), "$v && @ != \"\")"), JsonString(date));
        }
        if (info.date()) {
          CRM_TRY(const std::string date, filter::DateOf(c, call_));
          return holds(JsonString(date));
        }
        CRM_TRY(const std::string text, filter::TextOf(c));
        if (Orders(c.op)) return Refuse(c, "is text inside a message, which has no order here");
        const bool wild = c.value.any_before || c.value.any_after;
        if (c.op == Op::kHas && !field->is_repeated()) return Matches(place, Pattern(text, true, true));
        if (wild) return Matches(place, Pattern(text, c.value.any_before, c.value.any_after));
        return OrUnset(
            place, text.empty() && !field->is_repeated(), [&] { return holds(JsonString(text)); }, "\"\"");
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        if (Orders(c.op)) return Refuse(c, "is true or false, it has no order");
        CRM_TRY(const bool value, filter::BoolOf(c));
        return OrUnset(
            place, !value && !field->is_repeated(), [&] { return holds(value ? "true" : "false"); }, "false");
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        if (Orders(c.op)) return Refuse(c, "has names, not an order: compare with = or !=");
        CRM_TRY(const int number, filter::EnumOf(c, field->enum_type()));
        const std::string value = JsonString(field->enum_type()->FindValueByNumber(number)->name());
        return OrUnset(
            place, number == 0 && !field->is_repeated(), [&] { return holds(value); }, value);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (record::IsTimestamp(field))
          return Refuse(c, "is a time inside a message, which can only be asked for with :*");
        return Refuse(c, "has parts: name one of them after a point");
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64:
        return Refuse(c, "is a long number inside a message, which can only be asked for with :*");
      default: {
        CRM_TRY(const std::string number, filter::NumberOf(c));
        CRM_TRY(const Decimal value, Decimal::Parse(number));
        const absl::string_view sign = Orders(c.op) ? Sign(c.op) : absl::string_view(" == ");
        const bool is_default = !Orders(c.op) && value.IsZero() && !field->is_repeated();
        return OrUnset(
            place, is_default,
            [&] { return Exists(place, absl::StrCat(elements, " ? (@", sign, "$v)"), value.ToString()); }, "0");
      }
    }
  }

  // A Struct's member: nobody says what it holds, so a value is compared as whatever it can be read as.
  absl::StatusOr<std::string> OfAnything(const Place& place, const Compare& c) {
    if (IsAny(c)) return Exists(place, " ? (@ != null && (@.type() != \"string\" || @ != \"\"))", "");
    const auto number = Decimal::Parse(c.value.text);
    if (Orders(c.op)) {
      CRM_TRY(const std::string text, filter::TextOf(c));
      // Values of another type compare as unknown, which is not true.
      if (number.ok()) return Exists(place, absl::StrCat(" ? (@", Sign(c.op), "$v)"), number->ToString());
      return Exists(place, absl::StrCat(" ? (@", Sign(c.op), "$v && @ != \"\")"), JsonString(text));
    }
    CRM_TRY(const std::string text, filter::TextOf(c));
    if (c.op == Op::kHas) return Matches(place, Pattern(text, true, true));
    if (c.value.any_before || c.value.any_after) {
      return Matches(place, Pattern(text, c.value.any_before, c.value.any_after));
    }
    std::vector<std::string> any = {Holds(place, JsonString(text))};
    if (number.ok()) any.push_back(Holds(place, number->ToString()));
    if (text == "true" || text == "false") any.push_back(Holds(place, text));
    return absl::StrCat("(", absl::StrJoin(any, " OR "), ")");
  }

  const Call& call_;
  const RecordTable& table_;
  const RecordTable::Impl& impl_;
  record::SqlBuilder& sql_;
};

// What every match must fulfil, and trigrams or jsonb's operators find, but statistics do not know.
bool Guessed(const RecordTable::Impl& impl, const filter::Node& node) {
  static constexpr size_t kTrigram = 3;
  if (node.kind == filter::Node::Kind::kAnd) {
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](const filter::Node& child) { return Guessed(impl, child); });
  }
  if (node.kind != filter::Node::Kind::kCompare || node.compare.value.kind != Value::Kind::kText) return false;
  const Compare& c = node.compare;
  for (const auto& column : impl.columns) {
    if (column.field->name() != c.path.front()) continue;
    if (column.kind == Kind::kJson) return c.op == Op::kEqual || c.op == Op::kHas;
    const bool pattern = c.op == Op::kHas || (c.op == Op::kEqual && (c.value.any_before || c.value.any_after));
    return column.kind == Kind::kText && pattern && c.value.text.size() >= kTrigram;
  }
  return false;
}

bool Sortable(Kind kind) {
  switch (kind) {
    case Kind::kTextArray:
    case Kind::kIntArray:
    case Kind::kEnumArray:
    case Kind::kIdArray:
    case Kind::kJson:
    case Kind::kBytes:
    case Kind::kRevision:
      return false;
    default:
      return true;
  }
}

const Column* SortColumn(const RecordTable::Impl& impl, const std::vector<std::string>& path) {
  for (const auto& column : impl.columns) {
    if (column.field->name() != path.front() || !Sortable(column.kind)) continue;
    if (path.size() == 1) return &column;  // of money: its sum, which comes first
    if (path.size() == 2 && column.member != nullptr && column.member->name() == path[1]) return &column;
  }
  return nullptr;
}

}  // namespace filter_sql

std::vector<std::string> FilterableFields(const RecordTable& table) {
  std::vector<std::string> names;
  for (const auto& column : table.impl().columns) {
    if (column.kind == record::Kind::kRevision || column.kind == record::Kind::kMoneyCurrency) continue;
    names.push_back(column.field->name());
  }
  for (const auto& field : table.impl().filter_fields) names.push_back(field.name);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<Condition> CompileFilter(const Call& call, const RecordTable& table, const filter::Node& node,
                                        record::SqlBuilder& sql) {
  Condition condition;
  if (node.kind == filter::Node::Kind::kAnd && node.children.empty()) return condition;
  CRM_TRY(condition.sql, filter_sql::Compiler(call, table, sql).Compile(node, false));
  condition.guessed = filter_sql::Guessed(table.impl(), node);
  return condition;
}

bool ImpliesValue(const filter::Node& node, const record::Column& column) {
  if (node.kind == filter::Node::Kind::kAnd) {
    return std::any_of(node.children.begin(), node.children.end(),
                       [&](const filter::Node& child) { return ImpliesValue(child, column); });
  }
  if (node.kind != filter::Node::Kind::kCompare) return false;
  const auto& c = node.compare;
  if (c.path.front() != column.field->name()) return false;
  if (c.op == filter::Op::kNotEqual) return c.value.kind == filter::Value::Kind::kNull;
  if (c.value.kind == filter::Value::Kind::kNull) return false;
  // Of money, either part says that the other is there only together; the sum is what orders.
  return c.path.size() == 1 || (column.member != nullptr && c.path[1] == column.member->name());
}

absl::StatusOr<std::vector<OrderColumn>> CompileOrder(const Call& call, const RecordTable& table,
                                                      absl::string_view order_by, absl::string_view default_order) {
  const auto& impl = table.impl();
  const bool own = order_by.empty();
  if (own) order_by = default_order;
  if (own && order_by.empty() && impl.known.create_time != nullptr) order_by = "create_time desc";
  CRM_TRY(const auto terms, filter::ParseOrderBy(order_by));
  std::vector<OrderColumn> order;
  bool by_id = false;
  for (const auto& term : terms) {
    const auto* column = filter_sql::SortColumn(impl, term.path);
    if (column == nullptr) {
      std::vector<std::string> known;
      for (const auto& candidate : impl.columns) {
        if (filter_sql::Sortable(candidate.kind)) known.push_back(candidate.field->name());
      }
      return filter::ErrorAt(term, filter_sql::NoSuchField(term.PathText(), std::move(known)));
    }
    if (!own && record::InfoOf(column->field).personal() && !record::SeesPersonal(call)) {
      return record::PersonalDataHidden(term.PathText());
    }
    CRM_TRY(record::CheckNeeds(call, impl, column->field));
    // Nothing comes after the id.
    if (by_id) continue;
    if (static_cast<int>(order.size()) == kOrderFieldsMax) {
      return filter::ErrorAt(term, absl::StrCat("order_by takes at most ", kOrderFieldsMax, " fields"));
    }
    order.push_back({column, term.descending, column->nullable});
    by_id = column->kind == record::Kind::kId;
  }
  if (!by_id) {
    const auto* id = impl.ColumnOf(impl.known.id);
    order.push_back({id, !order.empty() && order.back().descending});
  }
  return order;
}

}  // namespace crm::pg
