// The API as the descriptor set says it: every rpc with an HTTP route, every record, every reference. Nothing here is
// written per rpc; a new one is served as soon as the descriptor set has it.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/json/json.h"
#include "crm/type/v1/options.pb.h"
#include "services/gateway/router.h"

namespace crm::gateway {

// Where references stand in messages of one type, followed on the wire without parsing the message.
struct RefNode {
  struct Field {
    std::string name;                        // what `expand` calls it; empty for a message to go into
    std::shared_ptr<const RefNode> message;  // for messages
  };
  std::map<int, Field> fields;  // by field number
};

// One binding of one rpc: a REST route, or the rpc's own path.
struct RpcRoute {
  const google::protobuf::MethodDescriptor* method = nullptr;
  std::string full_name;    // "crm.contact.v1.ContactService.GetContact"
  std::string service;      // "contact": whose address it goes to
  std::string http_method;  // "GET"
  std::string path;         // the template
  std::string body;         // "", "*", or a field's name
  type::v1::Access access;
  bool read_only = false;  // NO_SIDE_EFFECTS

  const google::protobuf::Message* request = nullptr;  // prototype
  const json::Writer::Plan* response = nullptr;
  const google::protobuf::FieldDescriptor* body_field = nullptr;
  const google::protobuf::FieldDescriptor* mask_field = nullptr;  // update_mask, for PATCH
  const google::protobuf::FieldDescriptor* etag_field = nullptr;  // what If-Match goes to
  int request_id = 0;                                         // field number of the request's idempotency key; 0: none
  int response_etag = 0;                                      // field number of the answer's etag; 0: none
  const google::protobuf::FieldDescriptor* cookie = nullptr;  // the answer's cookie_secret, moved to Set-Cookie
  std::shared_ptr<const RefNode> refs;                        // null: the answer refers to nothing
  std::set<std::string> ref_names;
};

// A stored record.
struct RecordType {
  std::string prefix;   // "contact"
  std::string service;  // who answers its refs
  const google::protobuf::Descriptor* descriptor = nullptr;
  type::v1::Record options;
  // Who may read one, as the rpc that gets one says; without such an rpc: the right to read its prefix.
  bool read_by_all = false;
  std::string read_object;
};

// Routes of the gateway itself.
enum class Own { kBatch, kSchema, kEvents, kEventTopics, kHealth, kOpenApi, kKeys };

class Api {
 public:
  // Reads a FileDescriptorSet (with imports, and comments if the schema is to have them). Refuses colliding routes,
  // paths or bodies that name no field, and routes to rpcs that are only for services: the message names them.
  static absl::StatusOr<std::unique_ptr<Api>> Load(const std::string& file);
  static absl::StatusOr<std::unique_ptr<Api>> Make(const google::protobuf::FileDescriptorSet& set);

  struct Target {
    const RpcRoute* rpc = nullptr;  // or
    std::optional<Own> own;
    RouteMatch match;
  };
  absl::StatusOr<Target> Find(std::string_view method, std::string_view path) const;
  std::vector<std::string> AllowedMethods(std::string_view path) const;

  // The rpc at "/crm.contact.v1.ContactService/GetContact", for Connect and gRPC-Web: every one that is not only for
  // services, with an HTTP route or without. Null if there is none.
  const RpcRoute* FindRpc(std::string_view path) const;

  const std::vector<RpcRoute>& routes() const { return routes_; }
  const std::map<std::string, RecordType>& records() const { return records_; }
  // Every service that some package belongs to: "contact", "identity".
  const std::set<std::string>& services() const { return services_; }
  const json::Writer& writer() const { return *writer_; }
  const google::protobuf::DescriptorPool& pool() const { return pool_; }
  const std::vector<const google::protobuf::FileDescriptor*>& files() const { return files_; }
  // Changes whenever the descriptor set does.
  const std::string& version() const { return version_; }

 private:
  Api() = default;
  absl::Status AddMethod(const google::protobuf::MethodDescriptor* method, const std::string& service);
  absl::Status AddRoute(const google::protobuf::MethodDescriptor* method, const std::string& service,
                        const std::string& http_method, const std::string& path, const std::string& body);
  absl::Status AddOwn(const char* method, const char* path, Own own);
  RpcRoute RouteOf(const google::protobuf::MethodDescriptor* method, const std::string& service);

  google::protobuf::DescriptorPool pool_;
  std::unique_ptr<google::protobuf::DynamicMessageFactory> factory_;
  std::unique_ptr<json::Writer> writer_;
  std::vector<const google::protobuf::FileDescriptor*> files_;
  std::vector<RpcRoute> routes_;
  std::map<std::string, RpcRoute, std::less<>> rpcs_;  // by path
  std::vector<Own> own_;
  Router router_;
  std::map<std::string, RecordType> records_;
  std::set<std::string> services_;
  std::string version_;
};

// True for the fields whose values are passwords and secrets: "old_password".
bool IsSecretName(std::string_view name);

// "crm.contact.v1" -> "contact"; empty for the shared packages and everything that is no service's.
std::string ServiceOfPackage(std::string_view package);

}  // namespace crm::gateway
