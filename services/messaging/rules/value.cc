#include "services/messaging/rules/value.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <google/api/field_behavior.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>

#include "common/base/time.h"
#include "crm/contact/v1/company.pb.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "crm/identity/v1/tenant.pb.h"
#include "crm/identity/v1/user.pb.h"
#include "crm/type/v1/money.pb.h"
#include "crm/type/v1/options.pb.h"

namespace crm::messaging {
namespace value_internal {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Deeper than any record of ours; a wall against messages that contain themselves.
constexpr int kDepthMax = 6;

bool Hidden(const FieldDescriptor& field) {
  if (field.name() == "access" || field.name() == "etag" || field.name() == "password") return true;
  const auto& behaviors = field.options();
  for (int i = 0; i < behaviors.ExtensionSize(google::api::field_behavior); ++i) {
    if (behaviors.GetExtension(google::api::field_behavior, i) == google::api::INPUT_ONLY) return true;
  }
  return false;
}

bool IsMoney(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type()->full_name() == "crm.type.v1.Money";
}
bool IsTime(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type()->full_name() == "google.protobuf.Timestamp";
}

v1::VariableKind KindOf(const FieldDescriptor& field) {
  const auto& info = field.options().GetExtension(type::v1::field);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return v1::VARIABLE_KIND_BOOL;
    case FieldDescriptor::CPPTYPE_STRING:
      return info.date() ? v1::VARIABLE_KIND_DATE : info.decimal() ? v1::VARIABLE_KIND_NUMBER : v1::VARIABLE_KIND_TEXT;
    case FieldDescriptor::CPPTYPE_ENUM:
      return v1::VARIABLE_KIND_TEXT;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return IsMoney(field)  ? v1::VARIABLE_KIND_MONEY
             : IsTime(field) ? v1::VARIABLE_KIND_DATE
                             : v1::VARIABLE_KIND_OBJECT;
    default:
      return v1::VARIABLE_KIND_NUMBER;
  }
}

// DEAL_STATUS_WON of DealStatus -> "won".
std::string EnumText(const google::protobuf::EnumValueDescriptor& value) {
  std::string prefix;
  for (char c : value.type()->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  absl::string_view name = value.name();
  if (absl::StartsWith(name, prefix + "_")) name.remove_prefix(prefix.size() + 1);
  return value.number() == 0 ? "" : absl::AsciiStrToLower(name);
}

Value MessageValue(const Message& message, int depth);

Value FieldValue(const Message& message, const FieldDescriptor& field, int index, int depth) {
  const auto* reflection = message.GetReflection();
  const bool repeated = index >= 0;
  std::string scratch;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return Value::Bool(repeated ? reflection->GetRepeatedBool(message, &field, index)
                                  : reflection->GetBool(message, &field));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text =
          repeated ? reflection->GetRepeatedString(message, &field, index) : reflection->GetString(message, &field);
      const v1::VariableKind kind = KindOf(field);
      if (kind == v1::VARIABLE_KIND_DATE) return Value::Date(text);
      return kind == v1::VARIABLE_KIND_NUMBER ? Value::Number(text) : Value::Text(text);
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return Value::Text(EnumText(
          *(repeated ? reflection->GetRepeatedEnum(message, &field, index) : reflection->GetEnum(message, &field))));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageValue(
          repeated ? reflection->GetRepeatedMessage(message, &field, index) : reflection->GetMessage(message, &field),
          depth + 1);
    case FieldDescriptor::CPPTYPE_INT32:
      return Value::Number(absl::StrCat(repeated ? reflection->GetRepeatedInt32(message, &field, index)
                                                 : reflection->GetInt32(message, &field)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Value::Number(absl::StrCat(repeated ? reflection->GetRepeatedUInt32(message, &field, index)
                                                 : reflection->GetUInt32(message, &field)));
    case FieldDescriptor::CPPTYPE_INT64:
      return Value::Number(absl::StrCat(repeated ? reflection->GetRepeatedInt64(message, &field, index)
                                                 : reflection->GetInt64(message, &field)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Value::Number(absl::StrFormat("%.6f", repeated ? reflection->GetRepeatedDouble(message, &field, index)
                                                            : reflection->GetDouble(message, &field)));
    default:
      return Value();
  }
}

Value MessageValue(const Message& message, int depth) {
  const auto* descriptor = message.GetDescriptor();
  if (descriptor->full_name() == "crm.type.v1.Money") {
    const auto& money = static_cast<const type::v1::Money&>(message);
    return Value::Money(money.amount(), money.currency_code());
  }
  if (descriptor->full_name() == "google.protobuf.Timestamp") {
    Value value;
    value.kind = Value::Kind::kTime;
    value.text = TimeText(FromTimestamp(static_cast<const google::protobuf::Timestamp&>(message)));
    return value;
  }
  Value object;
  object.kind = Value::Kind::kObject;
  if (depth > kDepthMax) return object;
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    if (Hidden(field)) continue;
    if (field.is_map()) {
      Value map;
      map.kind = Value::Kind::kObject;
      for (int j = 0; j < reflection->FieldSize(message, &field); ++j) {
        const Message& entry = reflection->GetRepeatedMessage(message, &field, j);
        const auto* key = field.message_type()->map_key();
        if (key->cpp_type() != FieldDescriptor::CPPTYPE_STRING) continue;
        map.fields[entry.GetReflection()->GetString(entry, key)] =
            FieldValue(entry, *field.message_type()->map_value(), -1, depth + 1);
      }
      object.fields[field.name()] = std::move(map);
    } else if (field.is_repeated()) {
      Value list;
      list.kind = Value::Kind::kList;
      for (int j = 0; j < reflection->FieldSize(message, &field); ++j)
        list.items.push_back(FieldValue(message, field, j, depth));
      object.fields[field.name()] = std::move(list);
    } else if (!field.has_presence() || reflection->HasField(message, &field)) {
      Value value = FieldValue(message, field, -1, depth);
      if (!value.text.empty() || value.kind == Value::Kind::kBool || value.kind == Value::Kind::kObject)
        object.fields[field.name()] = std::move(value);
    }
  }
  return object;
}

std::string NumberText(double number) {
  std::string text = absl::StrFormat("%.6f", number);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

Shape ObjectShape(const Descriptor* descriptor) {
  Shape shape;
  shape.kind = v1::VARIABLE_KIND_OBJECT;
  shape.object = descriptor;
  return shape;
}

void AddPaths(const Shape& shape, const std::string& path, int depth,
              std::vector<std::pair<std::string, v1::VariableKind>>& out) {
  if (shape.kind == v1::VARIABLE_KIND_OBJECT && shape.object != nullptr) {
    if (depth > 3) return;
    for (int i = 0; i < shape.object->field_count(); ++i) {
      const auto& field = *shape.object->field(i);
      if (auto member = MemberShape(shape, field.name()))
        AddPaths(*member, absl::StrCat(path, ".", field.name()), depth + 1, out);
    }
    return;
  }
  out.emplace_back(path, shape.kind);
  if (shape.kind == v1::VARIABLE_KIND_LIST && shape.item && shape.item->object != nullptr)
    AddPaths(*shape.item, path + "[]", depth + 1, out);
}

}  // namespace value_internal

namespace vi = value_internal;

Value Value::Text(std::string text) {
  Value value;
  value.kind = Kind::kText;
  value.text = std::move(text);
  return value;
}
Value Value::Number(std::string text) {
  Value value;
  value.kind = text.empty() ? Kind::kNone : Kind::kNumber;
  value.text = std::move(text);
  return value;
}
Value Value::Bool(bool flag) {
  Value value;
  value.kind = Kind::kBool;
  value.flag = flag;
  return value;
}
Value Value::Money(std::string amount, std::string currency) {
  Value value;
  value.kind = amount.empty() ? Kind::kNone : Kind::kMoney;
  value.text = std::move(amount);
  value.currency = std::move(currency);
  return value;
}
Value Value::Date(std::string day) {
  Value value;
  value.kind = day.empty() ? Kind::kNone : Kind::kDate;
  value.text = std::move(day);
  return value;
}

Value Value::Member(absl::string_view name) const {
  if (kind == Kind::kObject) {
    auto it = fields.find(std::string(name));
    return it == fields.end() ? Value() : it->second;
  }
  if (kind == Kind::kMoney) {
    if (name == "amount") return Number(text);
    if (name == "currency_code") return Text(currency);
  }
  if (kind == Kind::kList) {
    if (name == "size") return Number(absl::StrCat(items.size()));
    if (name == "first" && !items.empty()) return items.front();
    if (name == "last" && !items.empty()) return items.back();
  }
  return Value();
}

bool Value::Truth() const {
  switch (kind) {
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return flag;
    case Kind::kNumber:
    case Kind::kMoney:
      return std::any_of(text.begin(), text.end(), [](char c) { return c >= '1' && c <= '9'; });
    case Kind::kList:
      return !items.empty();
    case Kind::kObject:
      return !fields.empty();
    default:
      return !text.empty();
  }
}

Value ValueOf(const google::protobuf::Message& record) { return vi::MessageValue(record, 0); }

Value ValueOf(const google::protobuf::Value& json, v1::VariableKind kind) {
  using google::protobuf::Value;
  using Own = messaging::Value;
  switch (json.kind_case()) {
    case Value::kStringValue:
      if (kind == v1::VARIABLE_KIND_NUMBER) return Own::Number(json.string_value());
      if (kind == v1::VARIABLE_KIND_DATE) {
        Own date = Own::Date(json.string_value());
        if (date.text.size() > 10) date.kind = Own::Kind::kTime;
        return date;
      }
      return Own::Text(json.string_value());
    case Value::kNumberValue:
      return Own::Number(vi::NumberText(json.number_value()));
    case Value::kBoolValue:
      return Own::Bool(json.bool_value());
    case Value::kListValue: {
      Own list;
      list.kind = Own::Kind::kList;
      for (const auto& item : json.list_value().values())
        list.items.push_back(ValueOf(item, v1::VARIABLE_KIND_UNSPECIFIED));
      return list;
    }
    case Value::kStructValue: {
      const auto& fields = json.struct_value().fields();
      auto amount = fields.find("amount");
      auto currency = fields.find("currency_code");
      if (amount != fields.end() && currency != fields.end() && fields.size() == 2) {
        return Own::Money(ValueOf(amount->second, v1::VARIABLE_KIND_NUMBER).text, currency->second.string_value());
      }
      Own object;
      object.kind = Own::Kind::kObject;
      for (const auto& [name, field] : fields) object.fields[name] = ValueOf(field, v1::VARIABLE_KIND_UNSPECIFIED);
      return object;
    }
    default:
      return Own();
  }
}

std::shared_ptr<Shape> MemberShape(const Shape& shape, absl::string_view name) {
  if (shape.any) return std::make_shared<Shape>(shape);
  if (auto it = shape.members.find(std::string(name)); it != shape.members.end())
    return std::make_shared<Shape>(it->second);
  auto made = std::make_shared<Shape>();
  if (shape.kind == v1::VARIABLE_KIND_MONEY) {
    if (name == "amount") made->kind = v1::VARIABLE_KIND_NUMBER;
    return name == "amount" || name == "currency_code" ? made : nullptr;
  }
  if (shape.kind == v1::VARIABLE_KIND_LIST) {
    if (name == "size") {
      made->kind = v1::VARIABLE_KIND_NUMBER;
      return made;
    }
    return name == "first" || name == "last" ? shape.item : nullptr;
  }
  if (shape.object == nullptr) return nullptr;
  const auto* field = shape.object->FindFieldByName(std::string(name));
  if (field == nullptr || vi::Hidden(*field)) return nullptr;
  if (field->is_map()) {
    made->kind = v1::VARIABLE_KIND_OBJECT;
    made->any = true;
    return made;
  }
  made->kind = vi::KindOf(*field);
  if (made->kind == v1::VARIABLE_KIND_OBJECT) made->object = field->message_type();
  if (!field->is_repeated()) return made;
  auto list = std::make_shared<Shape>();
  list->kind = v1::VARIABLE_KIND_LIST;
  list->item = made;
  return list;
}

Shape RootShape(const google::protobuf::RepeatedPtrField<v1::TemplateVariable>& variables) {
  Shape root;
  root.kind = v1::VARIABLE_KIND_OBJECT;
  root.members["contact"] = vi::ObjectShape(contact::v1::Contact::descriptor());
  root.members["company"] = vi::ObjectShape(contact::v1::Company::descriptor());
  root.members["deal"] = vi::ObjectShape(deal_pipeline::v1::Deal::descriptor());
  root.members["sender"] = vi::ObjectShape(identity::v1::User::descriptor());
  root.members["tenant"] = vi::ObjectShape(identity::v1::Tenant::descriptor());
  root.members["today"].kind = v1::VARIABLE_KIND_DATE;
  for (const auto& variable : variables) {
    Shape& shape = root.members[variable.name()];
    shape = Shape();
    shape.kind = variable.kind();
    shape.any = shape.kind == v1::VARIABLE_KIND_OBJECT;
    if (shape.kind == v1::VARIABLE_KIND_LIST) {
      shape.item = std::make_shared<Shape>();
      shape.item->any = true;
    }
  }
  return root;
}

std::vector<std::pair<std::string, v1::VariableKind>> PathsOf(const Shape& root) {
  std::vector<std::pair<std::string, v1::VariableKind>> out;
  for (const auto& [name, shape] : root.members) vi::AddPaths(shape, name, 0, out);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace crm::messaging
