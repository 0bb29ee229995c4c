#include "common/base/filter_match.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <charconv>
#include <compare>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "crm/type/v1/money.pb.h"
#include "crm/type/v1/options.pb.h"

namespace crm::filter {
namespace matching {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using AnyValue = google::protobuf::Value;

const type::v1::FieldInfo& InfoOf(const FieldDescriptor* field) {
  return field->options().GetExtension(type::v1::field);
}
bool IsOf(const FieldDescriptor* field, const Descriptor* type) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map() && field->message_type() == type;
}
bool IsAny(const Compare& c) { return c.value.kind == Value::Kind::kAny; }
bool IsWild(const Compare& c) { return c.value.any_before || c.value.any_after; }
bool Orders(Op op) { return op == Op::kLess || op == Op::kLessEqual || op == Op::kGreater || op == Op::kGreaterEqual; }
absl::Status Refuse(const Compare& c, absl::string_view why) {
  return ErrorAt(c, absl::StrCat(c.PathText(), " ", why));
}

template <typename Order>
bool Related(Order order, Op op) {
  switch (op) {
    case Op::kLess:
      return order < 0;
    case Op::kLessEqual:
      return order <= 0;
    case Op::kGreater:
      return order > 0;
    case Op::kGreaterEqual:
      return order >= 0;
    default:
      return order == 0;
  }
}

// All digits of a double and no exponent, as jsonb keeps it.
Decimal DecimalOf(double number) {
  char text[512];
  const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::fixed);
  return Decimal::Parse(absl::string_view(text, static_cast<size_t>(end.ptr - text))).value_or(Decimal());
}

// One scalar of a message: a singular field, an element of a list, or a map entry's value.
struct Scalar {
  const Message& message;
  const FieldDescriptor* field;
  int index = -1;  // of a list

  std::string Text() const {
    const auto* r = message.GetReflection();
    return index < 0 ? r->GetString(message, field) : r->GetRepeatedString(message, field, index);
  }
  int Enum() const {
    const auto* r = message.GetReflection();
    return index < 0 ? r->GetEnumValue(message, field) : r->GetRepeatedEnumValue(message, field, index);
  }
  bool Bool() const {
    const auto* r = message.GetReflection();
    return index < 0 ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index);
  }
  const Message& Sub() const {
    const auto* r = message.GetReflection();
    return index < 0 ? r->GetMessage(message, field) : r->GetRepeatedMessage(message, field, index);
  }
  bool IsDouble() const {
    return field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE || field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
  }
  double Double() const {
    const auto* r = message.GetReflection();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
      return index < 0 ? r->GetFloat(message, field) : r->GetRepeatedFloat(message, field, index);
    }
    return index < 0 ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index);
  }
  Decimal Number() const {
    const auto* r = message.GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return index < 0 ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index);
      case FieldDescriptor::CPPTYPE_UINT32:
        return index < 0 ? r->GetUInt32(message, field) : r->GetRepeatedUInt32(message, field, index);
      case FieldDescriptor::CPPTYPE_INT64:
        return index < 0 ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index);
      case FieldDescriptor::CPPTYPE_UINT64:
        return index < 0 ? r->GetUInt64(message, field) : r->GetRepeatedUInt64(message, field, index);
      default:
        return DecimalOf(Double());
    }
  }
};

// What a value must be like, and what is answered where there is none.
struct Wanted {
  std::function<bool(const Scalar&)> holds;
  bool unset = false;
};

// In small letters, one by one, as PostgreSQL's ILIKE compares: "ß" stays one letter, and accents stay where they are.
std::string Lowered(absl::string_view text) {
  std::string out;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(bytes, i, size, c);
    uint8_t small[U8_MAX_LENGTH];
    int32_t length = 0;
    U8_APPEND_UNSAFE(small, length, u_tolower(c));
    out.append(reinterpret_cast<const char*>(small), static_cast<size_t>(length));
  }
  return out;
}

// Text as SQL compares it: exactly, with wildcards and `:` whatever the case.
std::function<bool(const std::string&)> TextTest(const Compare& c, const std::string& value, bool contains) {
  if (contains || IsWild(c)) {
    const bool before = contains || c.value.any_before, after = contains || c.value.any_after;
    return [small = Lowered(value), before, after](const std::string& text) {
      const std::string has = Lowered(text);
      if (before && after) return absl::StrContains(has, small);
      return before ? absl::EndsWith(has, small) : absl::StartsWith(has, small);
    };
  }
  if (Orders(c.op)) {
    return
        [value, op = c.op](const std::string& text) { return !text.empty() && Related(text.compare(value) <=> 0, op); };
  }
  return [value](const std::string& text) { return text == value; };
}

bool InTime(absl::Time time, const TimeRange& range, Op op) {
  switch (op) {
    case Op::kLess:
      return time < range.begin;
    case Op::kLessEqual:
      return range.moment() ? time <= range.begin : time < range.end;
    case Op::kGreater:
      return range.moment() ? time > range.begin : time >= range.end;
    case Op::kGreaterEqual:
      return time >= range.begin;
    default:
      return range.moment() ? time == range.begin : time >= range.begin && time < range.end;
  }
}

// Where a path leads: the fields from the record down.
struct Place {
  std::vector<const FieldDescriptor*> fields;
  std::optional<std::string> key;         // of a map or Struct, at the first field
  bool listed = false;                    // some list is walked before the last field
  const FieldDescriptor* last = nullptr;  // null: a Struct's member

  bool nested() const { return fields.size() > 1 || key.has_value(); }
};

class Matcher {
 public:
  Matcher(const Call& call, const Message& record, const std::vector<Root>& roots)
      : call_(call), record_(record), roots_(roots) {}

  absl::StatusOr<bool> Holds(const Node& node) const {
    switch (node.kind) {
      case Node::Kind::kNot: {
        CRM_TRY(const bool holds, Holds(node.children.front()));
        return !holds;
      }
      case Node::Kind::kAnd:
      case Node::Kind::kOr: {
        // All of them, so that a wrong filter is refused whatever the record holds.
        const bool conjunction = node.kind == Node::Kind::kAnd;
        bool result = conjunction;
        for (const Node& child : node.children) {
          CRM_TRY(const bool holds, Holds(child));
          result = conjunction ? result && holds : result || holds;
        }
        return result;
      }
      case Node::Kind::kCompare: {
        Compare compare = node.compare;
        bool negated = compare.op == Op::kNotEqual;
        if (negated) compare.op = Op::kEqual;
        if (compare.op == Op::kEqual && compare.value.kind == Value::Kind::kNull) {
          compare.op = Op::kHas;
          compare.value.kind = Value::Kind::kAny;
          negated = !negated;
        }
        CRM_TRY(const bool holds, Leaf(compare));
        return holds != negated;
      }
    }
    return absl::InternalError("unknown kind of filter node");
  }

 private:
  absl::StatusOr<bool> Leaf(const Compare& c) const {
    if (record_.GetDescriptor()->FindFieldByName(c.path.front()) == nullptr && c.path.size() > 1) {
      for (const Root& root : roots_) {
        if (root.name != c.path.front()) continue;
        Compare below = c;
        below.path.erase(below.path.begin());
        return Over(below, *root.message);
      }
    }
    return Over(c, record_);
  }

  absl::StatusOr<bool> Over(const Compare& c, const Message& message) const {
    CRM_TRY(const Place place, Find(c, message.GetDescriptor()));
    if (place.last == nullptr) return OfAnything(place, c, message);
    CRM_TRY(const std::optional<bool> whole, OfWhole(place, c, message));
    if (whole.has_value()) return *whole;
    CRM_TRY(const Wanted wanted, place.nested() ? Nested(place, c) : Column(place.last, c));
    if (place.key) {
      const Message* entry = Entry(message, place.fields.front(), *place.key);
      if (entry == nullptr) return false;
      const FieldDescriptor* value = place.fields.front()->message_type()->map_value();
      if (place.fields.size() == 1) return wanted.holds(Scalar{*entry, value});
      return Walk(entry->GetReflection()->GetMessage(*entry, value), place.fields, 1, wanted);
    }
    return Walk(message, place.fields, 0, wanted);
  }

  // Questions about a list, a message or a map as a whole; nullopt for all others.
  absl::StatusOr<std::optional<bool>> OfWhole(const Place& place, const Compare& c, const Message& message) const {
    const FieldDescriptor* field = place.last;
    if (place.nested()) return std::nullopt;
    const auto* reflection = message.GetReflection();
    const bool is_struct = !field->is_repeated() && IsOf(field, google::protobuf::Struct::descriptor());
    if (field->is_map() || is_struct) {
      if (IsAny(c)) {
        if (field->is_map()) return reflection->FieldSize(message, field) > 0;
        return static_cast<const google::protobuf::Struct&>(reflection->GetMessage(message, field)).fields_size() > 0;
      }
      if (c.op != Op::kHas) {
        return Refuse(c, "is a map: ask for a key with `:`, or for " + c.path.front() + ".<key>");
      }
      CRM_TRY(const std::string key, TextOf(c));
      if (field->is_map()) return Entry(message, field, key) != nullptr;
      return static_cast<const google::protobuf::Struct&>(reflection->GetMessage(message, field))
          .fields()
          .contains(key);
    }
    if (field->is_repeated()) {
      if (IsAny(c)) return reflection->FieldSize(message, field) > 0;
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE && c.op != Op::kHas) {
        return Refuse(c, "is a list: ask for an element with `:`");
      }
      return std::nullopt;
    }
    return std::nullopt;
  }

  absl::StatusOr<Place> Find(const Compare& c, const Descriptor* type) const {
    Place place;
    for (size_t depth = 0; depth < c.path.size(); ++depth) {
      const FieldDescriptor* before = place.fields.empty() ? nullptr : place.fields.back();
      if (depth == 1 && (before->is_map() || IsOf(before, google::protobuf::Struct::descriptor())) &&
          (before->is_map() || !before->is_repeated())) {
        place.key = c.path[1];
        place.last = before->is_map() ? before->message_type()->map_value() : nullptr;
        type = place.last != nullptr ? place.last->message_type() : nullptr;
        continue;
      }
      if (depth > 0 && before != nullptr && before->is_repeated() && !before->is_map()) place.listed = true;
      const FieldDescriptor* next = type == nullptr ? nullptr : type->FindFieldByName(c.path[depth]);
      if (next == nullptr || (depth > 1 && place.fields.size() > 1 && before->is_map())) {
        return ErrorAt(c, absl::StrCat("there is no field \"", c.PathText().substr(0, 80), "\" here"));
      }
      if (InfoOf(next).personal() && call_.principal.kind != Principal::Kind::kService &&
          !call_.principal.rights->personal_data) {
        return Error(absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
                     absl::StrCat(c.PathText(), " is personal data, which your roles do not let you see or filter by. ",
                                  "Leave it out, or ask an administrator for the right."),
                     {{"right", "personal_data"}, {"field", c.PathText()}});
      }
      CRM_TRY(CheckNeeds(c, next));
      place.fields.push_back(next);
      place.last = next;
      type = next->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE ? next->message_type() : nullptr;
    }
    return place;
  }

  // A field that tells of records of another kind may be asked about by those whose right to read such reaches as far as
  // theirs to read the record.
  absl::Status CheckNeeds(const Compare& c, const FieldDescriptor* field) const {
    const std::string& needs = InfoOf(field).needs();
    if (needs.empty()) return absl::OkStatus();
    const auto& record = field->containing_type()->options().GetExtension(type::v1::record);
    const auto scope = call_.ScopeOf(needs, type::v1::ACTION_READ);
    const auto shown = record.owned() ? call_.ScopeOf(record.prefix(), type::v1::ACTION_READ) : type::v1::SCOPE_ALL;
    if (scope != type::v1::SCOPE_UNSPECIFIED && scope >= shown) return absl::OkStatus();
    return Error(
        absl::StatusCode::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING,
        absl::StrCat(c.PathText(), " tells of a ", needs, ", and your right to read such does not reach far enough. ",
                     "Leave it out, or ask an administrator for the right."),
        {{"right", absl::StrCat(needs, ".read")}, {"field", c.PathText()}});
  }

  static const Message* Entry(const Message& message, const FieldDescriptor* map, const std::string& key) {
    const auto* reflection = message.GetReflection();
    const auto* key_field = map->message_type()->map_key();
    for (int i = 0; i < reflection->FieldSize(message, map); ++i) {
      const Message& entry = reflection->GetRepeatedMessage(message, map, i);
      if (key_field->cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
          entry.GetReflection()->GetString(entry, key_field) == key) {
        return &entry;
      }
    }
    return nullptr;
  }

  static bool Walk(const Message& message, const std::vector<const FieldDescriptor*>& fields, size_t at,
                   const Wanted& wanted) {
    const FieldDescriptor* field = fields[at];
    const auto* reflection = message.GetReflection();
    const bool last = at + 1 == fields.size();
    if (field->is_repeated()) {
      for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
        if (last ? wanted.holds(Scalar{message, field, i})
                 : Walk(reflection->GetRepeatedMessage(message, field, i), fields, at + 1, wanted)) {
          return true;
        }
      }
      return false;
    }
    if (field->has_presence() && !reflection->HasField(message, field)) return wanted.unset;
    if (last) return wanted.holds(Scalar{message, field});
    return Walk(reflection->GetMessage(message, field), fields, at + 1, wanted);
  }

  // ---- ids ----

  absl::StatusOr<Wanted> Ids(const Compare& c, absl::string_view prefixes) const {
    if (Orders(c.op)) return Refuse(c, "is an id: it is or is not equal, it has no order");
    CRM_TRY(auto ids, IdTextsOf(c, call_, prefixes));
    return Wanted{[ids](const Scalar& v) { return std::find(ids.begin(), ids.end(), v.Text()) != ids.end(); }};
  }

  // ---- a field of the record itself, or an element of its list ----

  absl::StatusOr<Wanted> Column(const FieldDescriptor* field, const Compare& c) const {
    const auto& info = InfoOf(field);
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        if (field->type() == FieldDescriptor::TYPE_BYTES) {
          if (!IsAny(c)) return Refuse(c, "holds bytes, which cannot be compared");
          return Wanted{[](const Scalar& v) { return !v.Text().empty(); }};
        }
        const bool actor = info.ref().empty() && (field->name() == "creator_id" || field->name() == "updater_id" ||
                                                  field->name() == "actor_id");
        if (IsAny(c)) return Wanted{[](const Scalar& v) { return !v.Text().empty(); }};
        if (field->name() == "id" && info.ref().empty()) {
          const auto& record = field->containing_type()->options().GetExtension(type::v1::record);
          if (!record.prefix().empty()) return Ids(c, record.prefix());
        }
        if (!info.ref().empty() || actor) return Ids(c, actor ? "*" : info.ref());
        if (info.date()) {
          CRM_TRY(const std::string date, DateOf(c, call_));
          return Wanted{[date, op = c.op](const Scalar& v) {
            const std::string has = v.Text();
            return !has.empty() && Related(has.compare(date) <=> 0, op);
          }};
        }
        if (info.decimal()) return Decimals(c);
        CRM_TRY(const std::string text, TextOf(c));
        if (Orders(c.op) && IsWild(c)) return Refuse(c, "cannot be ordered by a text with *");
        return Wanted{[test = TextTest(c, text, c.op == Op::kHas && !field->is_repeated())](const Scalar& v) {
          return test(v.Text());
        }};
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const bool presence = field->has_presence();
        if (IsAny(c)) return Wanted{[presence](const Scalar& v) { return presence || v.Bool(); }};
        if (Orders(c.op)) return Refuse(c, "is true or false, it has no order");
        CRM_TRY(const bool value, BoolOf(c));
        return Wanted{[value](const Scalar& v) { return v.Bool() == value; }};
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const bool presence = field->has_presence();
        if (IsAny(c)) return Wanted{[presence](const Scalar& v) { return presence || v.Enum() != 0; }};
        if (Orders(c.op)) return Refuse(c, "has names, not an order: compare with = or !=");
        CRM_TRY(const int value, EnumOf(c, field->enum_type()));
        return Wanted{[value](const Scalar& v) { return v.Enum() == value; }};
      }
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT: {
        const bool presence = field->has_presence();
        if (IsAny(c)) return Wanted{[presence](const Scalar& v) { return presence || v.Double() != 0; }};
        CRM_TRY(const std::string text, NumberOf(c));
        double value = 0;
        if (!absl::SimpleAtod(text, &value)) return Refuse(c, "needs a number");
        return Wanted{[value, op = c.op](const Scalar& v) { return Related(v.Double() <=> value, op); }};
      }
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        if (IsOf(field, google::protobuf::Timestamp::descriptor()) && !field->is_repeated()) {
          if (IsAny(c)) return Wanted{[](const Scalar&) { return true; }};
          CRM_TRY(const TimeRange range, TimeRangeOf(c, call_));
          return Wanted{[range, op = c.op](const Scalar& v) {
            return InTime(FromTimestamp(static_cast<const google::protobuf::Timestamp&>(v.Sub())), range, op);
          }};
        }
        if (IsOf(field, type::v1::Money::descriptor()) && !field->is_repeated()) {
          CRM_TRY(const Wanted amount, Decimals(c));
          return Wanted{[amount](const Scalar& v) {
            const auto* member = v.Sub().GetDescriptor()->FindFieldByName("amount");
            return amount.holds(Scalar{v.Sub(), member});
          }};
        }
        if (IsAny(c)) return Wanted{[](const Scalar&) { return true; }};
        return Refuse(c, "has parts: name one of them after a point");
      }
      default: {
        const bool presence = field->has_presence();
        if (IsAny(c)) return Wanted{[presence](const Scalar& v) { return presence || !v.Number().IsZero(); }};
        const bool wide =
            field->cpp_type() == FieldDescriptor::CPPTYPE_INT64 || field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
        CRM_TRY(const int64_t value,
                wide ? IntegerOf(c, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max())
                     : IntegerOf(c, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
        return Wanted{[value, op = c.op](const Scalar& v) { return Related(v.Number() <=> Decimal(value), op); }};
      }
    }
  }

  static absl::StatusOr<Wanted> Decimals(const Compare& c) {
    if (IsAny(c)) return Wanted{[](const Scalar& v) { return !v.Text().empty(); }};
    CRM_TRY(const std::string text, NumberOf(c));
    CRM_TRY(const Decimal value, Decimal::Parse(text));
    return Wanted{[value, op = c.op](const Scalar& v) {
      const auto has = Decimal::Parse(v.Text());
      return has.ok() && Related(*has <=> value, op);
    }};
  }

  // ---- a field inside a message, list or map ----

  absl::StatusOr<Wanted> Nested(const Place& place, const Compare& c) const {
    const FieldDescriptor* field = place.last;
    const bool list = field->is_repeated();
    // Money's parts are columns of their own.
    if (place.fields.size() == 2 && !place.fields.front()->is_repeated() &&
        IsOf(place.fields.front(), type::v1::Money::descriptor())) {
      if (field->name() == "amount") return Decimals(c);
      if (IsAny(c)) return Wanted{[](const Scalar& v) { return !v.Text().empty(); }};
      CRM_TRY(const std::string text, TextOf(c));
      if (Orders(c.op) && IsWild(c)) return Refuse(c, "cannot be ordered by a text with *");
      return Wanted{[test = TextTest(c, text, c.op == Op::kHas)](const Scalar& v) { return test(v.Text()); }};
    }
    if (field->is_map()) return Refuse(c, "is a map inside a message, which cannot be filtered by");
    if (list) {
      if (IsAny(c)) return Wanted{[](const Scalar&) { return true; }};
      if (c.op != Op::kHas) return Refuse(c, "is a list: ask for an element with `:`");
    } else if (IsAny(c)) {
      return Wanted{[](const Scalar& v) {
        switch (v.field->cpp_type()) {
          case FieldDescriptor::CPPTYPE_STRING:
            return !v.Text().empty();
          case FieldDescriptor::CPPTYPE_BOOL:
            return v.Bool();
          case FieldDescriptor::CPPTYPE_ENUM:
            return v.Enum() != v.field->default_value_enum()->number();
          case FieldDescriptor::CPPTYPE_MESSAGE:
            return true;
          default:
            return !v.Number().IsZero();
        }
      }};
    }
    // What equals the default is also there when nothing is: an unset message has its fields' defaults.
    const bool may_be_unset = !place.listed && !place.key && !list;
    const auto& info = InfoOf(field);
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        if (field->type() == FieldDescriptor::TYPE_BYTES) return Refuse(c, "holds bytes, which cannot be compared");
        if (info.decimal()) return Refuse(c, "is a decimal inside a message, which can only be asked for with :*");
        if (!info.ref().empty()) return Ids(c, info.ref());
        if (info.date()) {
          CRM_TRY(const std::string date, DateOf(c, call_));
          return Wanted{[date, op = c.op](const Scalar& v) {
            const std::string has = v.Text();
            return !has.empty() && Related(has.compare(date) <=> 0, op);
          }};
        }
        CRM_TRY(const std::string text, TextOf(c));
        if (Orders(c.op)) return Refuse(c, "is text inside a message, which has no order here");
        const bool contains = c.op == Op::kHas && !list;
        return Wanted{[test = TextTest(c, text, contains)](const Scalar& v) { return test(v.Text()); },
                      may_be_unset && text.empty() && !contains && !IsWild(c)};
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        if (Orders(c.op)) return Refuse(c, "is true or false, it has no order");
        CRM_TRY(const bool value, BoolOf(c));
        return Wanted{[value](const Scalar& v) { return v.Bool() == value; }, may_be_unset && !value};
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        if (Orders(c.op)) return Refuse(c, "has names, not an order: compare with = or !=");
        CRM_TRY(const int value, EnumOf(c, field->enum_type()));
        return Wanted{[value](const Scalar& v) { return v.Enum() == value; }, may_be_unset && value == 0};
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (IsOf(field, google::protobuf::Timestamp::descriptor())) {
          return Refuse(c, "is a time inside a message, which can only be asked for with :*");
        }
        return Refuse(c, "has parts: name one of them after a point");
      case FieldDescriptor::CPPTYPE_INT64:
      case FieldDescriptor::CPPTYPE_UINT64:
        return Refuse(c, "is a long number inside a message, which can only be asked for with :*");
      default: {
        CRM_TRY(const std::string number, NumberOf(c));
        CRM_TRY(const Decimal value, Decimal::Parse(number));
        return Wanted{[value, op = c.op](const Scalar& v) { return Related(v.Number() <=> value, op); },
                      may_be_unset && !Orders(c.op) && value.IsZero()};
      }
    }
  }

  // ---- a Struct's member: compared as whatever it can be read as ----

  absl::StatusOr<bool> OfAnything(const Place& place, const Compare& c, const Message& message) const {
    const auto& held =
        static_cast<const google::protobuf::Struct&>(message.GetReflection()->GetMessage(message, place.fields[0]));
    const auto found = held.fields().find(*place.key);
    const AnyValue* value = found == held.fields().end() ? nullptr : &found->second;
    const auto is_text = [](const AnyValue& v) { return v.kind_case() == AnyValue::kStringValue; };
    // Lists are walked, as lax paths of SQL do.
    const auto some = [&](const auto& test) {
      if (value == nullptr) return false;
      if (value->kind_case() != AnyValue::kListValue) return static_cast<bool>(test(*value));
      const auto& elements = value->list_value().values();
      return std::any_of(elements.begin(), elements.end(), test);
    };
    if (IsAny(c)) {
      return some([&](const AnyValue& v) {
        return v.kind_case() != AnyValue::kNullValue && (!is_text(v) || !v.string_value().empty());
      });
    }
    const auto number = Decimal::Parse(c.value.text);
    CRM_TRY(const std::string text, TextOf(c));
    if (Orders(c.op)) {
      if (number.ok()) {
        return some([&](const AnyValue& v) {
          return v.kind_case() == AnyValue::kNumberValue && Related(DecimalOf(v.number_value()) <=> *number, c.op);
        });
      }
      return some([&](const AnyValue& v) {
        return is_text(v) && !v.string_value().empty() && Related(v.string_value().compare(text) <=> 0, c.op);
      });
    }
    if (value == nullptr) return false;
    if (c.op == Op::kHas || IsWild(c)) {
      return is_text(*value) && TextTest(c, text, c.op == Op::kHas)(value->string_value());
    }
    switch (value->kind_case()) {
      case AnyValue::kStringValue:
        return value->string_value() == text;
      case AnyValue::kNumberValue:
        return number.ok() && DecimalOf(value->number_value()) == *number;
      case AnyValue::kBoolValue:
        return text == (value->bool_value() ? "true" : "false");
      default:
        return false;
    }
  }

  const Call& call_;
  const Message& record_;
  const std::vector<Root>& roots_;
};

}  // namespace matching

absl::StatusOr<bool> Matches(const Call& call, const Node& node, const google::protobuf::Message& record,
                             const std::vector<Root>& roots) {
  return matching::Matcher(call, record, roots).Holds(node);
}

}  // namespace crm::filter
