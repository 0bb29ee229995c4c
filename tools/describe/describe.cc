#include "tools/describe/describe.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <set>

#include "buf/validate/validate.pb.h"
#include "common/base/status.h"
#include "crm/type/v1/options.pb.h"
#include "google/api/annotations.pb.h"
#include "google/api/field_behavior.pb.h"

namespace crm::describe {
namespace {

namespace pb = google::protobuf;
using nlohmann::json;

json JsonOf(const pb::Message& message) {
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!pb::util::MessageToJsonString(message, &text, options).ok()) return nullptr;
  return json::parse(text);
}

json HttpOf(const pb::MethodDescriptor* method) {
  json all = json::array();
  if (!method->options().HasExtension(google::api::http)) return all;
  auto add = [&](const google::api::HttpRule& rule) {
    using Rule = google::api::HttpRule;
    std::string verb, path;
    switch (rule.pattern_case()) {
      case Rule::kGet:
        verb = "GET", path = rule.get();
        break;
      case Rule::kPut:
        verb = "PUT", path = rule.put();
        break;
      case Rule::kPost:
        verb = "POST", path = rule.post();
        break;
      case Rule::kDelete:
        verb = "DELETE", path = rule.delete_();
        break;
      case Rule::kPatch:
        verb = "PATCH", path = rule.patch();
        break;
      case Rule::kCustom:
        verb = rule.custom().kind(), path = rule.custom().path();
        break;
      case Rule::PATTERN_NOT_SET:
        return;
    }
    all.push_back({{"method", verb}, {"path", path}, {"body", rule.body()}});
  };
  const auto& rule = method->options().GetExtension(google::api::http);
  add(rule);
  for (const auto& more : rule.additional_bindings()) add(more);
  return all;
}

// {"who": "right", "object": "contact", "action": "ACTION_READ"}; "who" is null for an rpc that does not say.
json AccessOf(const pb::MethodDescriptor* method) {
  const auto& access = method->options().GetExtension(type::v1::access);
  switch (access.who_case()) {
    case type::v1::Access::kPublic:
      return {{"who", "public"}};
    case type::v1::Access::kSignedIn:
      return {{"who", "signed_in"}};
    case type::v1::Access::kService:
      return {{"who", "service"}};
    case type::v1::Access::kRight:
      return {{"who", "right"},
              {"object", access.right().object()},
              {"action", type::v1::Action_Name(access.right().action())},
              {"services", std::vector<std::string>(access.services().begin(), access.services().end())}};
    case type::v1::Access::WHO_NOT_SET:
      break;
  }
  return {{"who", nullptr}};
}

json FieldOf(const pb::FieldDescriptor* field) {
  json out = {{"name", field->name()}, {"type", field->type_name()}, {"repeated", field->is_repeated()}};
  if (field->is_map()) out["map"] = true;
  if (field->message_type() != nullptr) out["message"] = field->message_type()->full_name();
  if (field->enum_type() != nullptr) out["enum"] = field->enum_type()->full_name();
  if (field->real_containing_oneof() != nullptr) out["oneof"] = field->real_containing_oneof()->name();
  if (field->has_optional_keyword()) out["optional"] = true;
  const auto& options = field->options();
  for (int i = 0; i < options.ExtensionSize(google::api::field_behavior); ++i) {
    out["behavior"].push_back(google::api::FieldBehavior_Name(options.GetExtension(google::api::field_behavior, i)));
  }
  if (options.HasExtension(type::v1::field)) out["info"] = JsonOf(options.GetExtension(type::v1::field));
  if (options.HasExtension(buf::validate::field)) out["rules"] = JsonOf(options.GetExtension(buf::validate::field));
  return out;
}

struct Reached {
  json messages = json::object();
  json enums = json::object();

  void Add(const pb::Descriptor* type) {
    if (messages.contains(type->full_name())) return;
    json& out = messages[type->full_name()];
    out["fields"] = json::array();
    if (type->options().HasExtension(type::v1::record)) {
      out["record"] = JsonOf(type->options().GetExtension(type::v1::record));
    }
    for (int i = 0; i < type->field_count(); ++i) out["fields"].push_back(FieldOf(type->field(i)));
    for (int i = 0; i < type->field_count(); ++i) {
      if (type->field(i)->message_type() != nullptr) Add(type->field(i)->message_type());
      if (type->field(i)->enum_type() != nullptr) Add(type->field(i)->enum_type());
    }
  }
  void Add(const pb::EnumDescriptor* type) {
    json names = json::array();
    for (int i = 0; i < type->value_count(); ++i) names.push_back(type->value(i)->name());
    enums[type->full_name()] = std::move(names);
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Descriptors>> Descriptors::Load(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  pb::FileDescriptorSet set;
  if (!in || !set.ParseFromIstream(&in)) {
    return absl::NotFoundError(absl::StrCat("the descriptor set ", file, " cannot be read: build crm_descriptors"));
  }
  auto out = std::make_unique<Descriptors>();
  for (const auto& one : set.file()) {
    const auto* built = out->pool_.BuildFile(one);
    if (built == nullptr) return absl::InvalidArgumentError(absl::StrCat(one.name(), " does not fit its imports"));
    out->files_.push_back(built);
  }
  return out;
}

json Descriptors::Json() const {
  Reached reached;
  json methods = json::array();
  for (const auto* file : files_) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      if (file->message_type(i)->options().HasExtension(type::v1::record)) reached.Add(file->message_type(i));
    }
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        const auto* method = file->service(s)->method(m);
        reached.Add(method->input_type());
        reached.Add(method->output_type());
        methods.push_back({{"name", method->full_name()},
                           {"package", file->package()},
                           {"access", AccessOf(method)},
                           {"http", HttpOf(method)},
                           {"reads", method->options().idempotency_level() == pb::MethodOptions::NO_SIDE_EFFECTS},
                           {"streams", method->server_streaming()},
                           {"input", method->input_type()->full_name()},
                           {"output", method->output_type()->full_name()}});
      }
    }
  }
  return {{"methods", methods}, {"messages", reached.messages}, {"enums", reached.enums}};
}

const pb::MethodDescriptor* Descriptors::Method(const std::string& full_name) const {
  return pool_.FindMethodByName(full_name);
}

std::unique_ptr<pb::Message> Descriptors::New(const pb::Descriptor* type) const {
  return std::unique_ptr<pb::Message>(factory_.GetPrototype(type)->New());
}

}  // namespace crm::describe
