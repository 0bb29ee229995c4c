#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/json/json.h"
#include "common/json/parse.h"
#include "common/json/text.h"
#include "common/json/violations.h"

namespace crm::json {
namespace reading {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using type::v1::ERROR_REASON_FIELD_INVALID;
using type::v1::ERROR_REASON_FIELD_UNKNOWN;

// ---- numbers ----

template <typename T>
std::string WholeNumber() {
  constexpr bool wide = sizeof(T) == 8;
  return absl::StrCat("must be a whole number from ", std::numeric_limits<T>::min(), " to ",
                      std::numeric_limits<T>::max(), wide ? ", as text or number" : "");
}

template <typename T>
std::optional<T> NumberFromText(absl::string_view text) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

template <typename T>
std::optional<T> IntegerFrom(const Json& json) {
  if (json.IsInt64()) {
    const int64_t value = json.GetInt64();
    if (std::in_range<T>(value)) return static_cast<T>(value);
  } else if (json.IsUint64()) {
    const uint64_t value = json.GetUint64();
    if (std::in_range<T>(value)) return static_cast<T>(value);
  } else if (json.IsDouble()) {  // 1e3, 5.0
    const double value = json.GetDouble();
    constexpr double kExact = 9007199254740992.0;
    if (value == std::floor(value) && std::abs(value) <= kExact && std::in_range<T>(static_cast<int64_t>(value))) {
      return static_cast<T>(value);
    }
  } else if (sizeof(T) == 8 && json.IsString()) {
    return NumberFromText<T>(TextOf(json));
  }
  return std::nullopt;
}

// ---- setting ----

#define CRM_SETTER(Type, Name)                                                       \
  void Put(Message& message, const FieldDescriptor* field, Type value) {             \
    const Reflection* reflection = message.GetReflection();                          \
    field->is_repeated() ? reflection->Add##Name(&message, field, std::move(value))  \
                         : reflection->Set##Name(&message, field, std::move(value)); \
  }
CRM_SETTER(int32_t, Int32)
CRM_SETTER(int64_t, Int64)
CRM_SETTER(uint32_t, UInt32)
CRM_SETTER(uint64_t, UInt64)
CRM_SETTER(double, Double)
CRM_SETTER(float, Float)
CRM_SETTER(bool, Bool)
CRM_SETTER(std::string, String)
#undef CRM_SETTER
void PutEnum(Message& message, const FieldDescriptor* field, int value) {
  const Reflection* reflection = message.GetReflection();
  field->is_repeated() ? reflection->AddEnumValue(&message, field, value)
                       : reflection->SetEnumValue(&message, field, value);
}

bool PlainMessage(const Descriptor* type) { return type->well_known_type() == Descriptor::WELLKNOWNTYPE_UNSPECIFIED; }
bool IsValue(const FieldDescriptor* field) {
  return field->message_type() != nullptr &&
         field->message_type()->well_known_type() == Descriptor::WELLKNOWNTYPE_VALUE;
}
bool IsNullEnum(const FieldDescriptor* field) {
  return field->enum_type() != nullptr && field->enum_type()->full_name() == "google.protobuf.NullValue";
}

constexpr char kNotText[] = "must be text without NUL and half characters (lone \\u surrogates)";
constexpr char kTime[] = "must be a time such as \"2026-11-23T05:39:03Z\" (RFC 3339, years 1 to 9999)";
constexpr char kDuration[] = "must be a duration in seconds such as \"3.5s\"";
constexpr char kMask[] = "must be snake_case field names separated by commas";
constexpr char kBase64[] = "must be base64 text";
constexpr char kNullElement[] = "must not be null; leave it out";

bool MaskPath(absl::string_view path) {
  return !path.empty() && std::all_of(path.begin(), path.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '.' || c == '*';
  });
}

class Reading {
 public:
  explicit Reading(const ReadOptions& options) : options_(options) {}

  Violations violations;
  bool escapes = false;

  bool Top(const Json& json, Message& message, std::vector<std::string>* present) {
    return Whole(json, message, nullptr, present);
  }
  void Member(const Json& json, Message& message, const FieldDescriptor* field, const Path* path);
  // The text between the quotes, for scalars and messages that print as text.
  bool FromText(absl::string_view text, Message& message, const FieldDescriptor* field, const Path* path);

 private:
  // Descriptions cost; beyond the list they are only counted.
  template <typename Describe>
  bool Refuse(const Path* path, Describe describe, Reason reason = ERROR_REASON_FIELD_INVALID) {
    if (violations.full()) {
      violations.Count();
    } else {
      violations.Add(path, reason, describe());
    }
    return false;
  }
  bool Refuse(const Path* path, const char* description) {
    return Refuse(path, [&] { return std::string(description); });
  }
  bool IsGoodText(absl::string_view text) const { return !escapes || text::IsText(text); }

  bool Whole(const Json& json, Message& message, const Path* path, std::vector<std::string>* present = nullptr);
  void Members(const Json& json, Message& message, const Path* path, std::vector<std::string>* present, bool any);
  bool Single(const Json& json, Message& message, const FieldDescriptor* field, const Path* path);
  void Map(const Json& json, Message& message, const FieldDescriptor* field, const Path* path);
  void List(const Json& json, Message& message, const FieldDescriptor* field, const Path* path);
  bool ValueOf(const Json& json, Message& value, const Path* path);
  bool Any(const Json& json, Message& any, const Path* path);
  bool EnumFromName(absl::string_view name, Message& message, const FieldDescriptor* field, const Path* path);
  bool KnownFromText(absl::string_view text, Message& message, const Path* path);
  const FieldDescriptor* Find(const Descriptor* type, absl::string_view name) const {
    const std::string key(name);
    const FieldDescriptor* field = type->FindFieldByName(key);
    if (field == nullptr && options_.camel_case) field = type->FindFieldByCamelcaseName(key);
    return field;
  }

  const ReadOptions& options_;
};

bool Reading::EnumFromName(absl::string_view name, Message& message, const FieldDescriptor* field, const Path* path) {
  const EnumValueDescriptor* value = field->enum_type()->FindValueByName(std::string(name));
  if (value == nullptr) {
    if (options_.stored) return false;
    return Refuse(path, [&] { return OneOf(field->enum_type()); });
  }
  PutEnum(message, field, value->number());
  return true;
}

// Timestamp, Duration and FieldMask.
bool Reading::KnownFromText(absl::string_view text, Message& message, const Path* path) {
  const Descriptor* type = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  if (type->well_known_type() == Descriptor::WELLKNOWNTYPE_FIELDMASK) {
    const FieldDescriptor* paths = type->FindFieldByNumber(1);
    reflection->ClearField(&message, paths);
    if (text.empty()) return true;
    for (absl::string_view part : absl::StrSplit(text, ',')) {
      const std::string mask = options_.camel_case ? text::SnakeCase(part) : std::string(part);
      if (!MaskPath(mask)) return Refuse(path, kMask);
      reflection->AddString(&message, paths, mask);
    }
    return true;
  }
  const bool timestamp = type->well_known_type() == Descriptor::WELLKNOWNTYPE_TIMESTAMP;
  const auto time = timestamp ? text::ParseTimestamp(text) : text::ParseDuration(text);
  if (!time) return Refuse(path, timestamp ? kTime : kDuration);
  reflection->SetInt64(&message, type->FindFieldByNumber(1), time->seconds);
  reflection->SetInt32(&message, type->FindFieldByNumber(2), time->nanos);
  return true;
}

bool Reading::Single(const Json& json, Message& message, const FieldDescriptor* field, const Path* path) {
  switch (field->cpp_type()) {
#define CRM_WHOLE(CPPTYPE, Type)                \
  case FieldDescriptor::CPPTYPE:                \
    if (auto value = IntegerFrom<Type>(json)) { \
      Put(message, field, *value);              \
      return true;                              \
    }                                           \
    return Refuse(path, [] { return WholeNumber<Type>(); });
    CRM_WHOLE(CPPTYPE_INT32, int32_t)
    CRM_WHOLE(CPPTYPE_INT64, int64_t)
    CRM_WHOLE(CPPTYPE_UINT32, uint32_t)
    CRM_WHOLE(CPPTYPE_UINT64, uint64_t)
#undef CRM_WHOLE
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!json.IsNumber()) return Refuse(path, "must be a number");
      Put(message, field, json.GetDouble());
      return true;
    case FieldDescriptor::CPPTYPE_FLOAT:
      if (!json.IsNumber()) return Refuse(path, "must be a number");
      if (std::abs(json.GetDouble()) > std::numeric_limits<float>::max()) {
        return Refuse(path, "must be a number from -3.4e38 to 3.4e38");
      }
      Put(message, field, static_cast<float>(json.GetDouble()));
      return true;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!json.IsBool()) return Refuse(path, "must be true or false");
      Put(message, field, json.GetBool());
      return true;
    case FieldDescriptor::CPPTYPE_ENUM:
      if (json.IsNull() && IsNullEnum(field)) {
        PutEnum(message, field, 0);
        return true;
      }
      if (options_.stored && json.IsInt()) {
        PutEnum(message, field, json.GetInt());
        return true;
      }
      if (!json.IsString()) return Refuse(path, [&] { return OneOf(field->enum_type()); });
      return EnumFromName(TextOf(json), message, field, path);
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        if (!json.IsString()) return Refuse(path, kBase64);
        auto bytes = text::ParseBase64(TextOf(json));
        if (!bytes) return Refuse(path, kBase64);
        Put(message, field, *std::move(bytes));
        return true;
      }
      if (!json.IsString()) return Refuse(path, "must be a string");
      if (!IsGoodText(TextOf(json))) return Refuse(path, kNotText);
      Put(message, field, std::string(TextOf(json)));
      return true;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  const Reflection* reflection = message.GetReflection();
  if (field->is_repeated()) {
    Message* element = reflection->AddMessage(&message, field);
    if (Whole(json, *element, path)) return true;
    reflection->RemoveLast(&message, field);
    return false;
  }
  reflection->ClearField(&message, field);
  return Whole(json, *reflection->MutableMessage(&message, field), path);
}

void Reading::List(const Json& json, Message& message, const FieldDescriptor* field, const Path* path) {
  if (!json.IsArray()) {
    Refuse(path, "must be a list");
    return;
  }
  message.GetReflection()->ClearField(&message, field);
  int index = 0;
  for (const Json& element : json.GetArray()) {
    const Path at{path, {}, index++};
    if (element.IsNull() && !IsValue(field) && !IsNullEnum(field)) {
      Refuse(&at, kNullElement);
    } else {
      Single(element, message, field, &at);
    }
  }
}

void Reading::Map(const Json& json, Message& message, const FieldDescriptor* field, const Path* path) {
  if (!json.IsObject()) {
    Refuse(path, "must be an object");
    return;
  }
  const Reflection* reflection = message.GetReflection();
  reflection->ClearField(&message, field);
  const FieldDescriptor* key_field = field->message_type()->map_key();
  const FieldDescriptor* value_field = field->message_type()->map_value();
  absl::flat_hash_set<absl::string_view> seen;
  seen.reserve(json.MemberCount());
  for (const auto& member : json.GetObject()) {
    const absl::string_view key = TextOf(member.name);
    const Path at{path, key, -1, true};
    if (!seen.insert(key).second) {
      Refuse(&at, "stands twice; send it once");
      continue;
    }
    if (member.value.IsNull() && !IsValue(value_field) && !IsNullEnum(value_field)) {
      Refuse(&at, kNullElement);
      continue;
    }
    Message* entry = reflection->AddMessage(&message, field);
    bool good = IsGoodText(key) || Refuse(&at, kNotText);
    if (good && key_field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
      // One number has one spelling, or "1" and "01" would be one key under two names.
      good = (key == "0" || (!absl::StartsWith(key, "0") && !absl::StartsWith(key, "-0"))) ||
             Refuse(&at, "must be a key in its plain form, without leading zeros");
    }
    good = good && FromText(key, *entry, key_field, &at) && Single(member.value, *entry, value_field, &at);
    if (!good) reflection->RemoveLast(&message, field);
  }
}

void Reading::Member(const Json& json, Message& message, const FieldDescriptor* field, const Path* path) {
  if (json.IsNull() && !(IsValue(field) && !field->is_repeated())) {
    message.GetReflection()->ClearField(&message, field);
  } else if (field->is_map()) {
    Map(json, message, field, path);
  } else if (field->is_repeated()) {
    List(json, message, field, path);
  } else {
    Single(json, message, field, path);
  }
}

void Reading::Members(const Json& json, Message& message, const Path* path, std::vector<std::string>* present,
                      bool any) {
  const Descriptor* type = message.GetDescriptor();
  absl::InlinedVector<bool, 64> seen(type->field_count(), false);
  absl::InlinedVector<const FieldDescriptor*, 4> chosen(type->real_oneof_decl_count(), nullptr);
  bool type_seen = false;
  for (const auto& member : json.GetObject()) {
    const absl::string_view name = TextOf(member.name);
    const Path at{path, name};
    if (any && name == "@type") {
      if (type_seen) Refuse(&at, "stands twice; send it once");
      type_seen = true;
      continue;
    }
    const FieldDescriptor* field = Find(type, name);
    if (field == nullptr) {
      if (!options_.stored)
        Refuse(
            &at, [&] { return NoSuchField(type, name); }, ERROR_REASON_FIELD_UNKNOWN);
      continue;
    }
    const Path known{path, field->name()};
    if (seen[field->index()]) {
      Refuse(&known, "stands twice; send it once");
      continue;
    }
    seen[field->index()] = true;
    if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr && !member.value.IsNull()) {
      auto& first = chosen[oneof->index()];
      if (first != nullptr) {
        Refuse(&known,
               [&] { return absl::StrCat("cannot be given together with ", first->name(), "; send one of them"); });
        continue;
      }
      first = field;
    }
    Member(member.value, message, field, &known);
  }
  if (present != nullptr) {
    for (int i = 0; i < type->field_count(); ++i) {
      if (seen[i]) present->push_back(type->field(i)->name());
    }
  }
}

bool Reading::ValueOf(const Json& json, Message& value, const Path* path) {
  const Descriptor* type = value.GetDescriptor();
  const Reflection* reflection = value.GetReflection();
  auto field = [&](int number) { return type->FindFieldByNumber(number); };  // google/protobuf/struct.proto
  switch (json.GetType()) {
    case rapidjson::kNullType:
      reflection->SetEnumValue(&value, field(1), 0);
      return true;
    case rapidjson::kNumberType:
      reflection->SetDouble(&value, field(2), json.GetDouble());
      return true;
    case rapidjson::kStringType:
      if (!IsGoodText(TextOf(json))) return Refuse(path, kNotText);
      reflection->SetString(&value, field(3), std::string(TextOf(json)));
      return true;
    case rapidjson::kTrueType:
    case rapidjson::kFalseType:
      reflection->SetBool(&value, field(4), json.GetBool());
      return true;
    case rapidjson::kObjectType:
      return Whole(json, *reflection->MutableMessage(&value, field(5)), path);
    case rapidjson::kArrayType:
      return Whole(json, *reflection->MutableMessage(&value, field(6)), path);
  }
  return false;
}

bool Reading::Any(const Json& json, Message& any, const Path* path) {
  if (!json.IsObject()) return Refuse(path, "must be an object");
  if (json.MemberCount() == 0) return true;
  const Path type_path{path, "@type"};
  auto named = json.FindMember("@type");
  if (named == json.MemberEnd() || !named->value.IsString()) {
    return Refuse(&type_path, "must be the name of a message type such as \"type.googleapis.com/crm.type.v1.Money\"");
  }
  const absl::string_view url = TextOf(named->value);
  const auto slash = url.rfind('/');
  const Descriptor* type = nullptr;
  if (slash != absl::string_view::npos) {
    type = any.GetDescriptor()->file()->pool()->FindMessageTypeByName(std::string(url.substr(slash + 1)));
  }
  const Message* prototype = type == nullptr ? nullptr : any.GetReflection()->GetMessageFactory()->GetPrototype(type);
  if (prototype == nullptr) {
    if (options_.stored) return false;
    return Refuse(&type_path, "must be the name of a message type that this API has, after type.googleapis.com/");
  }
  std::unique_ptr<Message> content(prototype->New());
  if (PlainMessage(type)) {
    Members(json, *content, path, nullptr, true);
  } else {
    const Json* value = nullptr;
    for (const auto& member : json.GetObject()) {
      const Path at{path, TextOf(member.name)};
      if (at.name == "@type") continue;
      if (at.name != "value") {
        if (!options_.stored) {
          Refuse(
              &at, [] { return std::string("is not known here; only @type and value are"); },
              ERROR_REASON_FIELD_UNKNOWN);
        }
      } else if (value != nullptr) {
        Refuse(&at, "stands twice; send it once");
      } else {
        value = &member.value;
      }
    }
    const Path at{path, "value"};
    if (value == nullptr) return Refuse(&at, "must be given");
    Whole(*value, *content, &at);
  }
  const Reflection* reflection = any.GetReflection();
  reflection->SetString(&any, any.GetDescriptor()->FindFieldByNumber(1), std::string(url));
  reflection->SetString(&any, any.GetDescriptor()->FindFieldByNumber(2), content->SerializePartialAsString());
  return true;
}

bool Reading::Whole(const Json& json, Message& message, const Path* path, std::vector<std::string>* present) {
  const Descriptor* type = message.GetDescriptor();
  switch (type->well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_UNSPECIFIED:
      if (!json.IsObject()) return Refuse(path, "must be an object");
      Members(json, message, path, present, false);
      return true;
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      return json.IsString() ? KnownFromText(TextOf(json), message, path) : Refuse(path, kTime);
    case Descriptor::WELLKNOWNTYPE_DURATION:
      return json.IsString() ? KnownFromText(TextOf(json), message, path) : Refuse(path, kDuration);
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
      return json.IsString() ? KnownFromText(TextOf(json), message, path) : Refuse(path, kMask);
    case Descriptor::WELLKNOWNTYPE_STRUCT:
      if (present != nullptr && json.IsObject()) {
        for (const auto& member : json.GetObject()) present->push_back(std::string(TextOf(member.name)));
        std::sort(present->begin(), present->end());
      }
      Map(json, message, type->FindFieldByNumber(1), path);
      return true;
    case Descriptor::WELLKNOWNTYPE_LISTVALUE:
      List(json, message, type->FindFieldByNumber(1), path);
      return true;
    case Descriptor::WELLKNOWNTYPE_VALUE:
      return ValueOf(json, message, path);
    case Descriptor::WELLKNOWNTYPE_ANY:
      return Any(json, message, path);
    default:  // wrappers
      return Single(json, message, type->FindFieldByNumber(1), path);
  }
}

bool Reading::FromText(absl::string_view text, Message& message, const FieldDescriptor* field, const Path* path) {
  switch (field->cpp_type()) {
#define CRM_NUMBER(CPPTYPE, Type, expected)        \
  case FieldDescriptor::CPPTYPE:                   \
    if (auto value = NumberFromText<Type>(text)) { \
      Put(message, field, *value);                 \
      return true;                                 \
    }                                              \
    return Refuse(path, [] { return std::string(expected); });
    CRM_NUMBER(CPPTYPE_INT32, int32_t, WholeNumber<int32_t>())
    CRM_NUMBER(CPPTYPE_INT64, int64_t, WholeNumber<int64_t>())
    CRM_NUMBER(CPPTYPE_UINT32, uint32_t, WholeNumber<uint32_t>())
    CRM_NUMBER(CPPTYPE_UINT64, uint64_t, WholeNumber<uint64_t>())
    CRM_NUMBER(CPPTYPE_DOUBLE, double, "must be a number")
    CRM_NUMBER(CPPTYPE_FLOAT, float, "must be a number from -3.4e38 to 3.4e38")
#undef CRM_NUMBER
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return Refuse(path, "must be true or false");
      Put(message, field, text == "true");
      return true;
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumFromName(text, message, field, path);
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        auto bytes = text::ParseBase64(text);
        if (!bytes) return Refuse(path, kBase64);
        Put(message, field, *std::move(bytes));
        return true;
      }
      Put(message, field, std::string(text));
      return true;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  const Descriptor* type = field->message_type();
  const Reflection* reflection = message.GetReflection();
  auto made = [&]() -> Message& {
    return field->is_repeated() ? *reflection->AddMessage(&message, field)
                                : *reflection->MutableMessage(&message, field);
  };
  switch (type->well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_TIMESTAMP:
    case Descriptor::WELLKNOWNTYPE_DURATION:
    case Descriptor::WELLKNOWNTYPE_FIELDMASK:
      return KnownFromText(text, made(), path);
    case Descriptor::WELLKNOWNTYPE_UNSPECIFIED:
    case Descriptor::WELLKNOWNTYPE_STRUCT:
    case Descriptor::WELLKNOWNTYPE_VALUE:
    case Descriptor::WELLKNOWNTYPE_LISTVALUE:
    case Descriptor::WELLKNOWNTYPE_ANY:
      return Refuse(path, "cannot be given as one text; name a field inside it, or send it in the body");
    default:  // wrappers
      return FromText(text, made(), type->FindFieldByNumber(1), path);
  }
}

// Walks a dotted path and sets its end; adds violations.
void SetAt(Message& top, absl::string_view path, absl::string_view text, Reading& reading,
           absl::flat_hash_set<std::string>* seen) {
  auto refuse = [&](Reason reason, std::string description) {
    const Path at{nullptr, path};
    reading.violations.Add(&at, reason, std::move(description));
  };
  Message* message = &top;
  absl::string_view rest = path;
  for (;;) {
    const auto dot = rest.find('.');
    const std::string name(rest.substr(0, dot));
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) {
      return refuse(ERROR_REASON_FIELD_UNKNOWN, NoSuchField(message->GetDescriptor(), name));
    }
    const bool last = dot == absl::string_view::npos;
    const Reflection* reflection = message->GetReflection();
    if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr) {
      const FieldDescriptor* chosen = reflection->GetOneofFieldDescriptor(*message, oneof);
      if (chosen != nullptr && chosen != field) {
        return refuse(ERROR_REASON_FIELD_INVALID,
                      absl::StrCat("cannot be given together with ", chosen->name(), "; send one of them"));
      }
    }
    if (!last) {
      if (field->message_type() == nullptr) {
        return refuse(ERROR_REASON_FIELD_UNKNOWN, absl::StrCat("goes too far: ", name, " has no fields"));
      }
      if (field->is_repeated() || !PlainMessage(field->message_type())) {
        return refuse(ERROR_REASON_FIELD_INVALID,
                      absl::StrCat("cannot be reached by a path; send ", name, " in the body"));
      }
      message = reflection->MutableMessage(message, field);
      rest.remove_prefix(dot + 1);
      continue;
    }
    if (field->is_map()) return refuse(ERROR_REASON_FIELD_INVALID, "is a map; send it in the body");
    if (!field->is_repeated() && seen != nullptr && !seen->insert(std::string(path)).second) {
      return refuse(ERROR_REASON_FIELD_INVALID, "stands twice; send it once");
    }
    if (!text::IsText(text)) return refuse(ERROR_REASON_FIELD_INVALID, "must be UTF-8 text without NUL");
    const Path at{nullptr, path};
    reading.FromText(text, *message, field, &at);
    return;
  }
}

}  // namespace reading

absl::Status Read(absl::string_view text, google::protobuf::Message& message, const ReadOptions& options,
                  std::vector<std::string>* present) {
  using namespace reading;
  Parsed parsed;
  CRM_TRY(parsed.Parse(text, options));
  const Descriptor* type = message.GetDescriptor();
  if (PlainMessage(type) && !parsed.document.IsObject()) {
    return BodyError("The body must be a JSON object: { ... }.");
  }
  Reading reading(options);
  reading.escapes = parsed.escapes;
  if (present != nullptr) present->clear();
  reading.Top(parsed.document, message, present);
  return reading.violations.status();
}

absl::Status ReadField(absl::string_view text, const google::protobuf::FieldDescriptor* field,
                       google::protobuf::Message& message, const ReadOptions& options) {
  using namespace reading;
  // What most columns of most records hold; a list of 50 has hundreds of them.
  if (field->is_repeated() && text == (field->is_map() ? "{}" : "[]")) {
    message.GetReflection()->ClearField(&message, field);
    return absl::OkStatus();
  }
  Parsed parsed;
  CRM_TRY(parsed.Parse(text, options));
  Reading reading(options);
  reading.escapes = parsed.escapes;
  const Path path{nullptr, field->name()};
  reading.Member(parsed.document, message, field, &path);
  return reading.violations.status();
}

absl::Status SetField(google::protobuf::Message& message, absl::string_view path, absl::string_view text) {
  const ReadOptions options;
  reading::Reading reading(options);
  reading::SetAt(message, path, text, reading, nullptr);
  return reading.violations.status();
}

absl::Status ReadParameters(const std::vector<std::pair<std::string, std::string>>& parameters,
                            google::protobuf::Message& message) {
  const ReadOptions options;
  reading::Reading reading(options);
  absl::flat_hash_set<std::string> seen;
  for (const auto& [path, text] : parameters) reading::SetAt(message, path, text, reading, &seen);
  return reading.violations.status();
}

}  // namespace crm::json
