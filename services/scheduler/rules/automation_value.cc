#include "services/scheduler/rules/automation_value.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/api/field_behavior.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <vector>

#include "common/base/decimal.h"
#include "common/base/error.h"
#include "common/base/filter.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"
#include "crm/type/v1/money.pb.h"
#include "crm/type/v1/options.pb.h"

namespace crm::scheduler::automation {
namespace setting {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Struct;
using google::protobuf::Timestamp;

const type::v1::FieldInfo& InfoOf(const FieldDescriptor* field) {
  return field->options().GetExtension(type::v1::field);
}

bool Kept(const FieldDescriptor* field) {
  if (InfoOf(field).computed()) return true;
  const auto& options = field->options();
  for (int i = 0; i < options.ExtensionSize(google::api::field_behavior); ++i) {
    const auto behavior = options.GetExtension(google::api::field_behavior, i);
    if (behavior == google::api::OUTPUT_ONLY || behavior == google::api::IMMUTABLE) return true;
  }
  return false;
}

bool IsStruct(const FieldDescriptor* field) {
  return !field->is_repeated() && field->message_type() == Struct::descriptor();
}
bool IsScalarList(const FieldDescriptor* field) {
  return field->is_repeated() && !field->is_map() &&
         (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING || field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM);
}
bool IsPlain(const FieldDescriptor* field) {
  if (field->is_repeated()) return IsScalarList(field);
  if (field->message_type() == nullptr) return field->type() != FieldDescriptor::TYPE_BYTES;
  return field->message_type() == Timestamp::descriptor() || field->message_type() == type::v1::Money::descriptor();
}

// The value as the right side of a condition, so that days are read as filters read them.
absl::StatusOr<filter::Compare> AsCompare(const std::string& value) {
  CRM_TRY(filter::Node node, filter::Parse(absl::StrCat("value = ", value)));
  if (node.kind != filter::Node::Kind::kCompare) return absl::InvalidArgumentError("not one value");
  return node.compare;
}

// A time as text would not stand in a filter without quotes.
absl::StatusOr<absl::Time> TimeOf(const Call& call, const std::string& value) {
  if (value == "now()") return call.now();
  if (auto time = ParseTime(value); time.ok()) return time;
  CRM_TRY(const filter::Compare compare, AsCompare(value));
  CRM_TRY(const filter::TimeRange range, filter::TimeRangeOf(compare, call));
  return range.begin;
}

absl::Status PutOne(const Call& call, const std::string& value, const FieldDescriptor* field, absl::string_view where,
                    Message& message, bool add) {
  const auto* r = message.GetReflection();
  const auto wants = [&](absl::string_view wanted) {
    return FieldError(std::string(where),
                      absl::StrCat("\"", Truncated(value, 60), "\" will not do: ", field->name(), " needs ", wanted));
  };
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = value;
      if (InfoOf(field).date()) {
        const auto compare = AsCompare(value);
        auto date = compare.ok() ? filter::DateOf(*compare, call) : absl::StatusOr<std::string>(compare.status());
        if (!date.ok()) return wants("a day like 2026-11-23, today() or days(3)");
        text = *std::move(date);
      } else if (InfoOf(field).decimal()) {
        if (!Decimal::Parse(value).ok()) return wants("a number like 1200.50");
      } else if (!InfoOf(field).ref().empty()) {
        const auto id = ParseId(value);
        const std::vector<std::string> kinds = absl::StrSplit(InfoOf(field).ref(), ',');
        const bool fits =
            id.ok() && (kinds.front() == "*" || std::find(kinds.begin(), kinds.end(), id->prefix) != kinds.end());
        if (!fits) return wants(absl::StrCat("an id of: ", InfoOf(field).ref()));
      }
      add ? r->AddString(&message, field, std::move(text)) : r->SetString(&message, field, std::move(text));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* named = field->enum_type()->FindValueByName(value);
      if (named == nullptr) {
        std::string names;
        for (int i = 1; i < std::min(field->enum_type()->value_count(), 40); ++i) {
          absl::StrAppend(&names, names.empty() ? "" : ", ", field->enum_type()->value(i)->name());
        }
        return wants(absl::StrCat("one of ", names));
      }
      add ? r->AddEnum(&message, field, named) : r->SetEnum(&message, field, named);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (value != "true" && value != "false") return wants("true or false");
      r->SetBool(&message, field, value == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      if (!absl::SimpleAtoi(value, &number)) return wants("a whole number");
      r->SetInt32(&message, field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      uint32_t number = 0;
      if (!absl::SimpleAtoi(value, &number)) return wants("a whole number from 0 on");
      r->SetUInt32(&message, field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      if (!Decimal::Parse(value).ok() || !absl::SimpleAtod(value, &number)) return wants("a number like 1200.50");
      r->SetDouble(&message, field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      if (field->message_type() == Timestamp::descriptor()) {
        const auto time = TimeOf(call, value);
        if (!time.ok()) return wants("a time like 2026-11-23T10:15:00Z, now(), today() or days(3)");
        *static_cast<Timestamp*>(r->MutableMessage(&message, field)) = ToTimestamp(*time);
        return absl::OkStatus();
      }
      const std::vector<std::string> parts = absl::StrSplit(value, ' ', absl::SkipEmpty());
      auto* money = static_cast<type::v1::Money*>(r->MutableMessage(&message, field));
      if (parts.empty() || parts.size() > 2 || !Decimal::Parse(parts[0]).ok() ||
          (parts.size() == 2 && !IsCurrency(parts[1]))) {
        return wants("a sum like 100.00 EUR");
      }
      money->set_amount(parts[0]);
      if (parts.size() == 2) money->set_currency_code(parts[1]);
      return absl::OkStatus();
    }
    default:
      return FieldError(std::string(where), absl::StrCat(field->name(), " cannot be set by a rule"));
  }
}

// What a Struct's member becomes.
google::protobuf::Value MemberOf(const std::string& value) {
  google::protobuf::Value out;
  double number = 0;
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    out.set_string_value(value.substr(1, value.size() - 2));
  } else if (value == "true" || value == "false") {
    out.set_bool_value(value == "true");
  } else if (Decimal::Parse(value).ok() && absl::SimpleAtod(value, &number)) {
    out.set_number_value(number);
  } else {
    out.set_string_value(value);
  }
  return out;
}

// Copies a list's elements, if asked without those that are `value`; answers whether some are.
bool CopyList(const Message& before, const FieldDescriptor* field, const std::string& value, bool without,
              Message& patch) {
  const auto* r = before.GetReflection();
  bool found = false;
  for (int i = 0; i < r->FieldSize(before, field); ++i) {
    const bool text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const std::string element =
        text ? r->GetRepeatedString(before, field, i) : r->GetRepeatedEnum(before, field, i)->name();
    found = found || element == value;
    if (without && element == value) continue;
    if (text) {
      r->AddString(&patch, field, element);
    } else {
      r->AddEnum(&patch, field, r->GetRepeatedEnum(before, field, i));
    }
  }
  return found;
}

}  // namespace setting

bool Settable(const google::protobuf::Descriptor* record, absl::string_view name) {
  const std::vector<std::string> path = absl::StrSplit(name, '.');
  const auto* field = record->FindFieldByName(path.front());
  if (field == nullptr || setting::Kept(field)) return false;
  if (path.size() == 1) return setting::IsPlain(field);
  if (path.size() != 2) return false;
  if (setting::IsStruct(field)) return true;
  return field->is_map() &&
         field->message_type()->map_value()->type() == google::protobuf::FieldDescriptor::TYPE_STRING;
}

absl::Status PutValue(const Call& call, const google::protobuf::Message& before, absl::string_view name,
                      v1::SetFieldAction::Operation operation, const std::string& value, absl::string_view where,
                      google::protobuf::Message& patch) {
  const std::string at(where);
  if (!Settable(before.GetDescriptor(), name)) {
    return FieldError(at, absl::StrCat("a rule cannot set \"", name, "\" of a ", before.GetDescriptor()->name(),
                                       ": it does not exist, is kept by the system, or is made of parts"));
  }
  const std::vector<std::string> path = absl::StrSplit(name, '.');
  const auto* field = patch.GetDescriptor()->FindFieldByName(path.front());
  const auto* r = patch.GetReflection();
  const bool add = operation == v1::SetFieldAction::OPERATION_ADD;
  const bool remove = operation == v1::SetFieldAction::OPERATION_REMOVE;
  if ((add || remove) && (path.size() > 1 || !field->is_repeated())) {
    return FieldError(at, absl::StrCat(name, " is no list: nothing can be added to it or taken out; set it"));
  }
  if (path.size() == 2) {
    if (value.empty()) return absl::OkStatus();  // a key that the patch lacks is removed
    if (setting::IsStruct(field)) {
      auto* members = static_cast<google::protobuf::Struct*>(r->MutableMessage(&patch, field));
      (*members->mutable_fields())[path[1]] = setting::MemberOf(value);
      return absl::OkStatus();
    }
    google::protobuf::Message* entry = r->AddMessage(&patch, field);
    entry->GetReflection()->SetString(entry, field->message_type()->map_key(), path[1]);
    entry->GetReflection()->SetString(entry, field->message_type()->map_value(), value);
    return absl::OkStatus();
  }
  if (!field->is_repeated()) {
    if (value.empty()) return absl::OkStatus();
    return setting::PutOne(call, value, field, where, patch, false);
  }
  if (add || remove) {
    const bool found = setting::CopyList(before, field, value, remove, patch);
    if (remove || found || value.empty()) return absl::OkStatus();
    return setting::PutOne(call, value, field, where, patch, true);
  }
  for (const absl::string_view element : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
    CRM_TRY(setting::PutOne(call, std::string(absl::StripAsciiWhitespace(element)), field, where, patch, true));
  }
  return absl::OkStatus();
}

}  // namespace crm::scheduler::automation
