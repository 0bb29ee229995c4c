#include "services/gateway/api.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <openssl/sha.h>

#include <fstream>
#include <sstream>

#include "common/base/status.h"
#include "google/api/annotations.pb.h"

namespace crm::gateway {

namespace pb = google::protobuf;

namespace routes {

// Routes of the gateway's own have indexes from here on.
constexpr size_t kOwnBase = 1 << 20;

const pb::FieldDescriptor* Find(const pb::Descriptor* message, const char* name, pb::FieldDescriptor::CppType type) {
  const auto* field = message->FindFieldByName(name);
  return field && field->cpp_type() == type && !field->is_repeated() ? field : nullptr;
}

bool IsRecord(const pb::Descriptor* message) { return message->options().HasExtension(type::v1::record); }

// Builds the tree of references. Names count from the nearest record, so that a list's items and a board's deals are
// called alike; a name has at most two parts, and nothing deeper is looked at.
class RefTree {
 public:
  static constexpr int kPartsMax = 2;
  static constexpr int kLevelsMax = 5;  // response, container, container, record, nested message

  explicit RefTree(std::set<std::string>* names) : names_(names) {}

  std::shared_ptr<const RefNode> Build(const pb::Descriptor* message, const std::string& prefix, int parts, int level) {
    auto node = std::make_shared<RefNode>();
    for (int i = 0; i < message->field_count(); ++i) {
      const auto* field = message->field(i);
      if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) {
        if (field->options().GetExtension(type::v1::field).ref().empty() || parts + 1 > kPartsMax) continue;
        std::string name = prefix + Stem(field->name());
        names_->insert(name);
        node->fields[field->number()] = {name, nullptr};
      } else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map() && level < kLevelsMax) {
        auto below = IsRecord(field->message_type())
                         ? Build(field->message_type(), "", 0, level + 1)
                         : Build(field->message_type(), prefix + field->name() + ".", parts + 1, level + 1);
        if (below) node->fields[field->number()] = {"", below};
      }
    }
    return node->fields.empty() ? nullptr : node;
  }

 private:
  static std::string Stem(const std::string& name) {
    if (absl::EndsWith(name, "_ids")) return name.substr(0, name.size() - 4);
    if (absl::EndsWith(name, "_id")) return name.substr(0, name.size() - 3);
    return name;
  }
  std::set<std::string>* names_;
};

// Follows "contact.id" through message fields to a singular scalar.
absl::Status CheckFieldPath(const pb::Descriptor* message, const std::string& path) {
  std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto* field = message->FindFieldByName(parts[i]);
    bool last = i + 1 == parts.size();
    if (!field || field->is_repeated() || (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) == last) {
      return absl::InvalidArgumentError(absl::StrCat("{", path, "} names no single value in ", message->full_name()));
    }
    if (!last) message = field->message_type();
  }
  return absl::OkStatus();
}

}  // namespace routes

bool IsSecretName(std::string_view name) {
  std::string_view last = name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
  for (std::string_view word : {"password", "secret"}) {
    if (last.size() >= word.size() && last.substr(last.size() - word.size()) == word) return true;
  }
  return false;
}

std::string ServiceOfPackage(std::string_view package) {
  constexpr std::string_view kPrefix = "crm.", kSuffix = ".v1";
  if (package.size() <= kPrefix.size() + kSuffix.size() || package.substr(0, kPrefix.size()) != kPrefix ||
      package.substr(package.size() - kSuffix.size()) != kSuffix) {
    return "";
  }
  std::string name(package.substr(kPrefix.size(), package.size() - kPrefix.size() - kSuffix.size()));
  return name == "type" || name == "events" || name == "app" ? "" : name;
}

absl::StatusOr<std::unique_ptr<Api>> Api::Load(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  pb::FileDescriptorSet set;
  if (!in || !set.ParseFromIstream(&in)) {
    return absl::NotFoundError(
        absl::StrCat("the descriptor set ", file,
                     " cannot be read: build it (target crm_descriptors) and name it in gateway.descriptors_file"));
  }
  return Make(set);
}

absl::StatusOr<std::unique_ptr<Api>> Api::Make(const pb::FileDescriptorSet& set) {
  std::unique_ptr<Api> api(new Api);
  for (const auto& file : set.file()) {
    const auto* built = api->pool_.BuildFile(file);
    if (!built)
      return absl::InvalidArgumentError(
          absl::StrCat("the descriptor set's file ", file.name(), " does not fit its imports"));
    api->files_.push_back(built);
  }
  std::string bytes = set.SerializeAsString();
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  for (int i = 0; i < 8; ++i) absl::StrAppend(&api->version_, absl::Hex(digest[i], absl::kZeroPad2));

  api->factory_ = std::make_unique<pb::DynamicMessageFactory>(&api->pool_);
  api->writer_ = std::make_unique<json::Writer>(&api->pool_);
  CRM_TRY(api->AddOwn("POST", "/v1/batch", Own::kBatch));
  CRM_TRY(api->AddOwn("GET", "/v1/schema", Own::kSchema));
  CRM_TRY(api->AddOwn("GET", "/v1/events", Own::kEvents));
  CRM_TRY(api->AddOwn("POST", "/v1/events/{stream_id}", Own::kEventTopics));
  CRM_TRY(api->AddOwn("GET", "/healthz", Own::kHealth));
  CRM_TRY(api->AddOwn("GET", "/openapi.json", Own::kOpenApi));
  CRM_TRY(api->AddOwn("GET", "/.well-known/jwks.json", Own::kKeys));
  for (const auto* file : api->files_) {
    std::string service = ServiceOfPackage(file->package());
    if (service.empty()) continue;
    api->services_.insert(service);
    for (int i = 0; i < file->message_type_count(); ++i) {
      const auto* message = file->message_type(i);
      if (!routes::IsRecord(message)) continue;
      const auto& record = message->options().GetExtension(type::v1::record);
      auto [it, added] = api->records_.try_emplace(
          record.prefix(), RecordType{record.prefix(), service, message, record, false, record.prefix()});
      if (!added) {
        return absl::AlreadyExistsError(absl::StrCat("the id prefix \"", record.prefix(), "\" belongs to ",
                                                     it->second.descriptor->full_name(), " and to ",
                                                     message->full_name(), ": give one of them another"));
      }
    }
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        CRM_TRY(api->AddMethod(file->service(i)->method(j), service));
      }
    }
  }
  for (auto& [prefix, record] : api->records_) {
    for (const auto& route : api->routes_) {
      if (route.method->output_type() != record.descriptor || route.http_method != "GET") continue;
      record.read_by_all = route.access.who_case() == type::v1::Access::kSignedIn;
      if (route.access.who_case() == type::v1::Access::kRight) record.read_object = route.access.right().object();
      break;
    }
  }
  return api;
}

absl::Status Api::AddOwn(const char* method, const char* path, Own own) {
  own_.push_back(own);
  return router_.Add(method, path, routes::kOwnBase + own_.size() - 1, "the gateway");
}

absl::Status Api::AddMethod(const pb::MethodDescriptor* method, const std::string& service) {
  if (!method->client_streaming() && method->options().HasExtension(type::v1::access) &&
      method->options().GetExtension(type::v1::access).who_case() != type::v1::Access::kService) {
    RpcRoute route = RouteOf(method, service);
    route.http_method = "POST";
    route.path = absl::StrCat("/", method->service()->full_name(), "/", method->name());
    route.body = "*";
    rpcs_.emplace(route.path, route);
  }
  if (!method->options().HasExtension(google::api::http)) return absl::OkStatus();
  const auto& rule = method->options().GetExtension(google::api::http);
  auto add = [&](const google::api::HttpRule& one) -> absl::Status {
    switch (one.pattern_case()) {
      case google::api::HttpRule::kGet:
        return AddRoute(method, service, "GET", one.get(), one.body());
      case google::api::HttpRule::kPost:
        return AddRoute(method, service, "POST", one.post(), one.body());
      case google::api::HttpRule::kPut:
        return AddRoute(method, service, "PUT", one.put(), one.body());
      case google::api::HttpRule::kPatch:
        return AddRoute(method, service, "PATCH", one.patch(), one.body());
      case google::api::HttpRule::kDelete:
        return AddRoute(method, service, "DELETE", one.delete_(), one.body());
      case google::api::HttpRule::kCustom:
        return AddRoute(method, service, one.custom().kind(), one.custom().path(), one.body());
      case google::api::HttpRule::PATTERN_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError(absl::StrCat(method->full_name(), ": its google.api.http has no path"));
  };
  CRM_TRY(add(rule));
  for (const auto& more : rule.additional_bindings()) CRM_TRY(add(more));
  return absl::OkStatus();
}

// What both kinds of paths need to know of an rpc.
RpcRoute Api::RouteOf(const pb::MethodDescriptor* method, const std::string& service) {
  RpcRoute route;
  route.method = method;
  route.full_name = method->full_name();
  route.service = service;
  route.access = method->options().GetExtension(type::v1::access);
  route.read_only = method->options().idempotency_level() == pb::MethodOptions::NO_SIDE_EFFECTS;
  const auto* input = method->input_type();
  const auto* output = method->output_type();
  route.etag_field = routes::Find(input, "etag", pb::FieldDescriptor::CPPTYPE_STRING);
  if (const auto* id = routes::Find(input, "request_id", pb::FieldDescriptor::CPPTYPE_STRING))
    route.request_id = id->number();
  route.request = factory_->GetPrototype(input);
  route.response = writer_->PlanOf(output);
  if (const auto* etag = routes::Find(output, "etag", pb::FieldDescriptor::CPPTYPE_STRING))
    route.response_etag = etag->number();
  route.cookie = routes::Find(output, "cookie_secret", pb::FieldDescriptor::CPPTYPE_STRING);
  return route;
}

absl::Status Api::AddRoute(const pb::MethodDescriptor* method, const std::string& service,
                           const std::string& http_method, const std::string& path, const std::string& body) {
  auto broken = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(method->full_name(), " (", http_method, " ", path, "): ", why));
  };
  if (method->client_streaming()) return broken("a stream of requests has no HTTP form: leave google.api.http out");
  RpcRoute route = RouteOf(method, service);
  route.http_method = http_method;
  route.path = path;
  route.body = body;
  if (route.access.who_case() == type::v1::Access::WHO_NOT_SET)
    return broken("has no (crm.type.v1.access): say who may call it");
  if (route.access.who_case() == type::v1::Access::kService) {
    return broken("is only for services and must have no HTTP route: leave google.api.http out");
  }

  const auto* input = method->input_type();
  CRM_TRY(PathTemplate parsed, ParsePathTemplate(path));
  for (const auto& variable : parsed.variables) {
    absl::Status ok = routes::CheckFieldPath(input, variable.field);
    if (!ok.ok()) return broken(std::string(ok.message()));
  }
  if (!body.empty() && (http_method == "GET" || http_method == "DELETE")) return broken("GET and DELETE have no body");
  if (!body.empty() && body != "*") {
    route.body_field = routes::Find(input, body.c_str(), pb::FieldDescriptor::CPPTYPE_MESSAGE);
    if (!route.body_field)
      return broken(absl::StrCat("body: \"", body, "\" names no message field of ", input->full_name()));
  }
  if (http_method == "PATCH") {
    route.mask_field = routes::Find(input, "update_mask", pb::FieldDescriptor::CPPTYPE_MESSAGE);
    if (!route.mask_field || route.mask_field->message_type()->full_name() != "google.protobuf.FieldMask" ||
        !route.body_field) {
      return broken("PATCH needs body: \"<field>\" and a google.protobuf.FieldMask update_mask");
    }
  }
  route.refs = routes::RefTree(&route.ref_names).Build(method->output_type(), "", 0, 1);
  routes_.push_back(std::move(route));
  return router_.Add(http_method, path, routes_.size() - 1, method->full_name());
}

absl::StatusOr<Api::Target> Api::Find(std::string_view method, std::string_view path) const {
  CRM_TRY(RouteMatch match, router_.Match(method, path));
  Target target;
  if (match.route >= routes::kOwnBase) {
    target.own = own_[match.route - routes::kOwnBase];
  } else {
    target.rpc = &routes_[match.route];
  }
  target.match = std::move(match);
  return target;
}

const RpcRoute* Api::FindRpc(std::string_view path) const {
  auto it = rpcs_.find(path);
  return it == rpcs_.end() ? nullptr : &it->second;
}

std::vector<std::string> Api::AllowedMethods(std::string_view path) const {
  if (const RpcRoute* rpc = FindRpc(path)) {
    if (rpc->read_only && !rpc->method->server_streaming()) return {"GET", "HEAD", "POST"};
    return {"POST"};
  }
  return router_.AllowedMethods(path);
}

}  // namespace crm::gateway
