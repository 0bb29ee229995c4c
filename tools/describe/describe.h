// The API as its descriptor set says it, for tests and tools that walk every rpc; and calls of any rpc over gRPC.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace crm::describe {

class Descriptors {
 public:
  // Reads a FileDescriptorSet with its imports, as the build writes it to crm.binpb.
  static absl::StatusOr<std::unique_ptr<Descriptors>> Load(const std::string& file);

  // {"methods": [...], "messages": {name: {...}}, "enums": {name: [values]}}: every rpc, and every message that one of
  // them takes or answers, with the options and validation rules of each field.
  nlohmann::json Json() const;

  // "crm.contact.v1.ContactService.GetContact"; null if there is none.
  const google::protobuf::MethodDescriptor* Method(const std::string& full_name) const;
  std::unique_ptr<google::protobuf::Message> New(const google::protobuf::Descriptor* type) const;
  const google::protobuf::DescriptorPool& pool() const { return pool_; }

 private:
  google::protobuf::DescriptorPool pool_;
  mutable google::protobuf::DynamicMessageFactory factory_{&pool_};
  std::vector<const google::protobuf::FileDescriptor*> files_;
};

// Answers calls, one JSON object a line, until standard input ends; many may be under way at once, answers carry their
// number. Each names a service's address and an rpc:
//   {"n": 1, "address": "127.0.0.1:7102", "method": "crm.contact.v1.ContactService.GetContact",
//    "request": {"id": "contact_..."}, "metadata": {"authorization": "Bearer ..."}, "as": "gateway"}
// `as` names the certificate NAME.pem with NAME.key in the folder `tls` beside ca.pem; `hex` may stand instead of
// `request`. A stream is read up to its first message. The answer:
//   {"n": 1, "code": "NOT_FOUND", "message": "...", "reason": "RECORD_NOT_FOUND", "metadata": {...}, "fields": [...]}
//   {"n": 1, "code": "OK", "reply": {...}}
int Serve(const Descriptors& descriptors, const std::string& tls);

}  // namespace crm::describe
