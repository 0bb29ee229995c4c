#include "services/gateway/openapi_schema.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "buf/validate/validate.pb.h"
#include "crm/type/v1/options.pb.h"
#include "services/gateway/api.h"
#include "services/gateway/descriptor_text.h"

namespace crm::gateway::openapi {

namespace pb = google::protobuf;

namespace {

using Field = pb::FieldDescriptor;

const buf::validate::FieldRules& RulesOf(const Field* field) {
  return field->options().GetExtension(buf::validate::field);
}

bool IsRequired(const Field* field) {
  const auto& rules = RulesOf(field);
  return rules.required() || HasBehavior(field, google::api::REQUIRED) || rules.string().min_len() > 0 ||
         rules.repeated().min_items() > 0;
}

// Left out of answers where it is not set.
bool MayBeAbsent(const Field* field) { return !field->is_repeated() && field->has_presence(); }

template <typename Rules>
void AddBounds(const Rules& rules, Json& schema) {
  if (rules.has_gte()) schema["minimum"] = rules.gte();
  if (rules.has_gt()) schema["exclusiveMinimum"] = rules.gt();
  if (rules.has_lte()) schema["maximum"] = rules.lte();
  if (rules.has_lt()) schema["exclusiveMaximum"] = rules.lt();
  for (const auto& one : rules.in()) schema["enum"].push_back(one);
}

void AddStringRules(const buf::validate::StringRules& rules, Json& schema) {
  if (rules.has_len()) schema["minLength"] = schema["maxLength"] = rules.len();
  if (rules.has_min_len()) schema["minLength"] = rules.min_len();
  if (rules.has_max_len()) schema["maxLength"] = rules.max_len();
  if (rules.has_pattern()) schema["pattern"] = rules.pattern();
  if (rules.email()) schema["format"] = "email";
  if (rules.uri()) schema["format"] = "uri";
  if (rules.uuid()) schema["format"] = "uuid";
  for (const auto& one : rules.in()) schema["enum"].push_back(one);
}

// A value that the rules take, where one is easily told.
Json ExampleOf(const Field* field, const type::v1::FieldInfo& info) {
  if (field->cpp_type() == Field::CPPTYPE_STRING) {
    const std::string& ref = info.ref();
    std::string prefix = ref.substr(0, ref.find(','));
    if (prefix == "*") prefix = "contact";
    if (!prefix.empty()) return prefix + "_01h455vb4pex5vsknk084sn02q";
    if (info.date()) return "2026-11-23";
    if (info.decimal()) return "1250.00";
    if (RulesOf(field).string().email()) return "ada@example.org";
    if (field->name() == "currency_code") return "EUR";
    if (field->name() == "country_code") return "DE";
    if (field->name() == "time_zone") return "Europe/Berlin";
  }
  return nullptr;
}

Json Nullable(Json schema) {
  if (schema.contains("type") && schema["type"].is_string() && !schema.contains("enum")) {
    schema["type"] = Json::array({schema["type"], "null"});
    return schema;
  }
  Json out;
  if (schema.contains("description")) {
    out["description"] = schema["description"];
    schema.erase("description");
  }
  out["anyOf"] = Json::array({std::move(schema), Json{{"type", "null"}}});
  return out;
}

const char* Suffix(Use use) {
  switch (use) {
    case Use::kAnswer:
      return "";
    case Use::kRequest:
      return "Input";
    case Use::kPatch:
      return "Patch";
  }
  return "";
}

// Messages that JSON writes otherwise than as an object with their fields; null for all others.
Json WellKnown(const std::string& name) {
  if (!absl::StartsWith(name, "google.protobuf.")) return nullptr;
  std::string last = name.substr(16);
  if (last == "Timestamp")
    return {{"type", "string"}, {"format", "date-time"}, {"examples", Json::array({"2026-11-23T09:30:00Z"})}};
  if (last == "Duration")
    return {{"type", "string"}, {"pattern", "^-?[0-9]+(\\.[0-9]{1,9})?s$"}, {"examples", Json::array({"90s"})}};
  if (last == "FieldMask")
    return {{"type", "string"},
            {"description", "Names of fields, separated by commas."},
            {"examples", Json::array({"title,note"})}};
  if (last == "Struct") return {{"type", "object"}, {"additionalProperties", true}};
  if (last == "Value") return Json::object();
  if (last == "ListValue") return {{"type", "array"}, {"items", Json::object()}};
  if (last == "Empty") return {{"type", "object"}};
  if (last == "Any")
    return {{"type", "object"}, {"properties", {{"@type", {{"type", "string"}}}}}, {"additionalProperties", true}};
  if (last == "StringValue" || last == "BytesValue" || last == "Int64Value" || last == "UInt64Value")
    return {{"type", "string"}};
  if (last == "BoolValue") return {{"type", "boolean"}};
  if (last == "Int32Value" || last == "UInt32Value") return {{"type", "integer"}};
  if (last == "DoubleValue" || last == "FloatValue") return {{"type", "number"}};
  return nullptr;
}

}  // namespace

Json RefTo(const std::string& name) { return {{"$ref", absl::StrCat("#/components/schemas/", name)}}; }

Json Schemas::Take() {
  Json out = Json::object();
  for (auto& [name, schema] : all_) out[name] = std::move(schema);
  return out;
}

// "crm.contact.v1.Contact.Phone" -> "Contact_Phone"; with its service's name in front if another message is called so.
std::string Schemas::NameOf(const std::string& full_name, const std::string& package, const std::string& suffix) {
  std::string local = full_name.substr(package.size() + 1);
  std::string name = absl::StrCat(absl::StrReplaceAll(local, {{".", "_"}}), suffix);
  auto [it, added] = owners_.try_emplace(name, full_name);
  if (!added && it->second != full_name) {
    name = absl::StrCat(ServiceOfPackage(package).empty() ? "type" : ServiceOfPackage(package), "_", name);
    owners_.try_emplace(name, full_name);
  }
  return name;
}

Json Schemas::EnumRef(const pb::EnumDescriptor* descriptor) {
  std::string name = NameOf(descriptor->full_name(), descriptor->file()->package(), "");
  if (!all_.count(name)) {
    Json schema{{"type", "string"}};
    std::string text = CommentOf(descriptor);
    Json values = Json::array();
    for (int i = 0; i < descriptor->value_count(); ++i) {
      values.push_back(descriptor->value(i)->name());
      std::string comment = CommentOf(descriptor->value(i));
      if (!comment.empty()) absl::StrAppend(&text, "\n- `", descriptor->value(i)->name(), "`: ", comment);
    }
    if (!text.empty()) schema["description"] = text;
    schema["enum"] = std::move(values);
    all_[name] = std::move(schema);
  }
  return RefTo(name);
}

Json Schemas::Ref(const pb::Descriptor* message, Use use, const std::set<std::string>& without) {
  Json known = WellKnown(message->full_name());
  if (!known.is_null()) return known;
  // A request's own message is met nowhere else.
  bool root = absl::EndsWith(message->name(), "Request");
  std::string suffix = root ? "" : Suffix(use);
  if (!without.empty()) suffix += root ? "Body" : "Value";
  std::string name = NameOf(message->full_name(), message->file()->package(), suffix);
  if (!all_.count(name)) {
    all_[name] = nullptr;  // met below itself, it is only referred to
    all_[name] = Object(message, use, without);
  }
  return RefTo(name);
}

Json Schemas::Object(const pb::Descriptor* message, Use use, const std::set<std::string>& without) {
  Json schema{{"type", "object"}};
  std::string text = CommentOf(message);
  for (int i = 0; i < message->real_oneof_decl_count(); ++i) {
    std::vector<std::string> names;
    const auto* oneof = message->oneof_decl(i);
    for (int j = 0; j < oneof->field_count(); ++j) names.push_back(absl::StrCat("`", oneof->field(j)->name(), "`"));
    absl::StrAppend(&text, text.empty() ? "" : " ", "At most one of ", absl::StrJoin(names, ", "), " is set.");
  }
  if (!text.empty()) schema["description"] = text;
  Json properties = Json::object(), required = Json::array();
  for (int i = 0; i < message->field_count(); ++i) {
    const auto* field = message->field(i);
    if (without.count(field->name())) continue;
    bool output = HasBehavior(field, google::api::OUTPUT_ONLY);
    // A PATCH may carry the etag that it was made from.
    if (output && use != Use::kAnswer && !(use == Use::kPatch && field->name() == "etag")) continue;
    if (!output && use == Use::kAnswer && HasBehavior(field, google::api::INPUT_ONLY)) continue;
    Json property = Field(field, use);
    if (use == Use::kPatch) property = Nullable(std::move(property));
    if (output && use == Use::kAnswer) property["readOnly"] = true;
    if (use == Use::kAnswer ? !MayBeAbsent(field) : use == Use::kRequest && IsRequired(field))
      required.push_back(field->name());
    properties[field->name()] = std::move(property);
  }
  schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  if (use != Use::kAnswer) schema["additionalProperties"] = false;
  return schema;
}

Json Schemas::Field(const pb::FieldDescriptor* field, Use use) {
  const auto& info = field->options().GetExtension(type::v1::field);
  std::string text = CommentOf(field);
  auto note = [&](const std::string& more) { absl::StrAppend(&text, text.empty() ? "" : " ", more); };
  Use below = use == Use::kPatch ? Use::kRequest : use;
  Json schema;
  if (field->is_map()) {
    schema = {{"type", "object"}, {"additionalProperties", Value(field->message_type()->map_value(), below)}};
    if (use != Use::kAnswer && RulesOf(field).map().has_max_pairs())
      schema["maxProperties"] = RulesOf(field).map().max_pairs();
  } else if (field->is_repeated()) {
    schema = {{"type", "array"}, {"items", Value(field, below)}};
    const auto& rules = RulesOf(field).repeated();
    if (use != Use::kAnswer) {
      if (rules.has_min_items()) schema["minItems"] = rules.min_items();
      if (rules.has_max_items()) schema["maxItems"] = rules.max_items();
      if (rules.unique()) schema["uniqueItems"] = true;
    }
  } else {
    schema = Value(field, below);
  }
  if (!info.ref().empty() && field->name() != "id")
    note(info.ref() == "*"
             ? "The id of any record."
             : absl::StrCat("The id of a ", absl::StrReplaceAll(info.ref(), {{",", " or "}, {"_", " "}}), "."));
  if (info.personal()) {
    note("Personal data: left out for readers without that right.");
    schema["x-personal"] = true;
  }
  if (HasBehavior(field, google::api::IMMUTABLE)) note("Cannot be changed later.");
  if (schema.contains("$ref")) {
    // Beside a reference, other members hold in 3.1.
    if (!text.empty()) schema["description"] = text;
    return schema;
  }
  if (!text.empty()) {
    Json first;
    first["description"] = text;
    for (auto& [key, value] : schema.items()) first[key] = value;
    return first;
  }
  return schema;
}

Json Schemas::Value(const pb::FieldDescriptor* field, Use use) {
  const auto& info = field->options().GetExtension(type::v1::field);
  const auto& own = RulesOf(field);
  const auto& rules = own.has_repeated() ? own.repeated().items() : own;
  const bool asked = use != Use::kAnswer;  // answers print defaults, which rules for requests may refuse
  Json schema;
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case pb::FieldDescriptor::CPPTYPE_INT32:
      schema = {{"type", "integer"}, {"format", "int32"}};
      if (asked) AddBounds(rules.int32(), schema);
      return schema;
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      schema = {{"type", "integer"}, {"minimum", 0}};
      if (asked) AddBounds(rules.uint32(), schema);
      return schema;
    case pb::FieldDescriptor::CPPTYPE_INT64:
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return {{"type", "string"}, {"pattern", "^-?[0-9]+$"}};
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return {{"type", "number"}, {"format", "float"}};
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      schema = {{"type", "number"}, {"format", "double"}};
      if (asked) AddBounds(rules.double_(), schema);
      return schema;
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return EnumRef(field->enum_type());
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      return Ref(field->message_type(), use);
    case pb::FieldDescriptor::CPPTYPE_STRING:
      break;
  }
  schema = {{"type", "string"}};
  if (field->type() == pb::FieldDescriptor::TYPE_BYTES) {
    schema["contentEncoding"] = "base64";
    return schema;
  }
  if (asked) AddStringRules(rules.string(), schema);
  if (IsSecretName(field->name())) schema["format"] = "password";
  Json example = ExampleOf(field, info);
  if (!example.is_null()) schema["examples"] = Json::array({example});
  return schema;
}

}  // namespace crm::gateway::openapi
