#include "services/gateway/schema.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "buf/validate/validate.pb.h"
#include "common/rpc/access.h"
#include "services/gateway/descriptor_text.h"

namespace crm::gateway {
namespace schema {

namespace pb = google::protobuf;
using Json = nlohmann::ordered_json;

// The type as JSON shows it.
std::string TypeName(const pb::FieldDescriptor* field) {
  const auto& info = field->options().GetExtension(type::v1::field);
  if (field->is_map()) return "map";
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return "boolean";
    case pb::FieldDescriptor::CPPTYPE_INT32:
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return "integer";
    case pb::FieldDescriptor::CPPTYPE_INT64:
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return "integer_text";
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return "number";
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return "enum";
    case pb::FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == pb::FieldDescriptor::TYPE_BYTES) return "bytes";
      return !info.ref().empty() ? "reference" : info.date() ? "date" : info.decimal() ? "decimal" : "text";
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  const std::string& name = field->message_type()->full_name();
  if (name == "google.protobuf.Timestamp") return "timestamp";
  if (name == "google.protobuf.Duration") return "duration";
  if (name == "google.protobuf.FieldMask") return "text";
  if (name == "google.protobuf.Struct" || name == "google.protobuf.Value" || name == "google.protobuf.Any")
    return "json";
  if (name == "crm.type.v1.Money") return "money";
  return "object";
}

// Which filter operators a field of this type takes (common/base/filter.h).
std::vector<std::string> Operators(const pb::FieldDescriptor* field) {
  if (field->options().GetExtension(type::v1::field).computed()) return {};
  std::string type = TypeName(field);
  if (type == "map") return {":"};
  if (field->is_repeated())
    return type == "object" || type == "json" ? std::vector<std::string>{} : std::vector<std::string>{":"};
  if (type == "boolean" || type == "enum" || type == "reference") return {"=", "!=", ":*"};
  if (type == "text") return {"=", "!=", ":", ":*"};
  if (type == "integer" || type == "integer_text" || type == "number" || type == "decimal" || type == "date" ||
      type == "timestamp" || type == "money") {
    return {"=", "!=", "<", "<=", ">", ">=", ":*"};
  }
  return {};
}

// The rules that forms can check before sending. The service checks all of them, and more.
Json Rules(const pb::FieldDescriptor* field) {
  Json rules = Json::object();
  if (!field->options().HasExtension(buf::validate::field)) return rules;
  const auto& constraints = field->options().GetExtension(buf::validate::field);
  const auto* set = constraints.has_repeated() ? &constraints.repeated().items() : &constraints;
  if (constraints.has_repeated()) {
    if (constraints.repeated().has_min_items()) rules["min_items"] = constraints.repeated().min_items();
    if (constraints.repeated().has_max_items()) rules["max_items"] = constraints.repeated().max_items();
  }
  if (set->has_string()) {
    const auto& text = set->string();
    if (text.has_min_len()) rules["min_length"] = text.min_len();
    if (text.has_max_len()) rules["max_length"] = text.max_len();
    if (text.has_pattern()) rules["pattern"] = text.pattern();
    if (text.email()) rules["format"] = "email";
    if (text.uri()) rules["format"] = "uri";
    for (const auto& one : text.in()) rules["in"].push_back(one);
  }
  if (set->has_int32()) {
    const auto& number = set->int32();
    if (number.has_gte()) rules["min"] = number.gte();
    if (number.has_lte()) rules["max"] = number.lte();
  }
  if (set->has_double_()) {
    const auto& number = set->double_();
    if (number.has_gte()) rules["min"] = number.gte();
    if (number.has_lte()) rules["max"] = number.lte();
  }
  return rules;
}

class Builder {
 public:
  explicit Builder(const Api& api) : api_(api) {}

  std::string Build() {
    Json out;
    out["version"] = api_.version();
    out["objects"] = Json::array();
    for (const auto& [prefix, record] : api_.records()) out["objects"].push_back(Object(record));
    out["routes"] = Json::array();
    for (const auto& route : api_.routes()) out["routes"].push_back(Route(route));
    out["enums"] = enums_;
    return out.dump();
  }

 private:
  Json Object(const RecordType& record) {
    Json object;
    object["type"] = record.prefix;
    object["service"] = record.service;
    object["message"] = record.descriptor->full_name();
    object["description"] = CommentOf(record.descriptor);
    object["title_field"] = record.options.title();
    object["subtitle_field"] = record.options.subtitle();
    object["owned"] = record.options.owned();
    object["history"] = record.options.history();
    object["fields"] = Fields(record.descriptor, 0, true);
    std::set<std::string> rights;
    for (const auto& route : api_.routes()) {
      if (route.access.who_case() == type::v1::Access::kRight && route.access.right().object() == record.prefix) {
        rights.insert(rpc::RightName(route.access.right()));
      }
    }
    object["rights"] = rights;
    return object;
  }

  Json Fields(const pb::Descriptor* message, int depth, bool record) {
    constexpr int kDepthMax = 3;  // deeper shapes are told by the OpenAPI description
    Json fields = Json::array();
    for (int i = 0; i < message->field_count(); ++i) {
      const auto* field = message->field(i);
      const auto& info = field->options().GetExtension(type::v1::field);
      Json one;
      one["name"] = field->name();
      one["type"] = TypeName(field);
      if (field->is_repeated() && !field->is_map()) one["repeated"] = true;
      one["description"] = CommentOf(field);
      if (HasBehavior(field, google::api::REQUIRED)) one["required"] = true;
      if (HasBehavior(field, google::api::OUTPUT_ONLY)) one["output_only"] = true;
      if (HasBehavior(field, google::api::IMMUTABLE)) one["immutable"] = true;
      if (info.personal()) one["personal"] = true;
      if (info.computed()) one["computed"] = true;
      if (!info.ref().empty()) {
        one["ref"] = std::vector<std::string>(absl::StrSplit(info.ref(), ',', absl::SkipWhitespace()));
      }
      if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM) {
        one["enum"] = field->enum_type()->full_name();
        AddEnum(field->enum_type());
      }
      if (one["type"] == "object" && depth < kDepthMax) one["fields"] = Fields(field->message_type(), depth + 1, false);
      if (record) one["filter"] = Operators(field);
      Json rules = Rules(field);
      if (!rules.empty()) one["rules"] = std::move(rules);
      fields.push_back(std::move(one));
    }
    return fields;
  }

  void AddEnum(const pb::EnumDescriptor* descriptor) {
    if (enums_.contains(descriptor->full_name())) return;
    Json values = Json::array();
    for (int i = 0; i < descriptor->value_count(); ++i) {
      const auto* value = descriptor->value(i);
      values.push_back({{"name", value->name()},
                        {"label", Label(descriptor, value)},
                        {"description", CommentOf(value)},
                        {"order", i}});
    }
    enums_[descriptor->full_name()] = {{"description", CommentOf(descriptor)}, {"values", std::move(values)}};
  }

  // "LIFECYCLE_CUSTOMER" of enum Lifecycle -> "Customer".
  static std::string Label(const pb::EnumDescriptor* descriptor, const pb::EnumValueDescriptor* value) {
    std::string prefix;
    for (size_t i = 0; i < descriptor->name().size(); ++i) {
      char c = descriptor->name()[i];
      if (i > 0 && absl::ascii_isupper(c)) prefix += '_';
      prefix += absl::ascii_toupper(c);
    }
    prefix += '_';
    std::string name = value->name();
    if (name.rfind(prefix, 0) == 0) name = name.substr(prefix.size());
    name = absl::AsciiStrToLower(absl::StrReplaceAll(name, {{"_", " "}}));
    if (!name.empty()) name[0] = absl::ascii_toupper(name[0]);
    return name;
  }

  Json Route(const RpcRoute& route) {
    Json out;
    out["method"] = route.http_method;
    out["path"] = route.path;
    out["rpc"] = route.full_name;
    out["description"] = CommentOf(route.method);
    out["request"] = route.method->input_type()->full_name();
    out["response"] = route.method->output_type()->full_name();
    if (!route.body.empty()) out["body"] = route.body;
    if (route.method->server_streaming()) out["stream"] = true;
    if (route.read_only) out["read_only"] = true;
    switch (route.access.who_case()) {
      case type::v1::Access::kPublic:
        out["access"] = "public";
        break;
      case type::v1::Access::kRight:
        out["access"] = "right";
        out["right"] = rpc::RightName(route.access.right());
        break;
      default:
        out["access"] = "signed_in";
    }
    if (!route.ref_names.empty()) out["expand"] = route.ref_names;
    return out;
  }

  const Api& api_;
  Json enums_ = Json::object();
};

}  // namespace schema

std::string SchemaJson(const Api& api) { return schema::Builder(api).Build(); }

}  // namespace crm::gateway
