// JSON Schemas (2020-12, as OpenAPI 3.1 has them) of messages, from descriptors, rules and comments.
#pragma once

#include <google/protobuf/descriptor.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace crm::gateway::openapi {

using Json = nlohmann::ordered_json;

// How a message is met: as an answer (defaults are printed, so nearly everything is there), in a request (rules hold,
// what only answers have is left out), or as the body of a PATCH (nothing has to be there, null clears).
enum class Use { kAnswer, kRequest, kPatch };

// Collects the schemas that others refer to.
class Schemas {
 public:
  // The schema of a message, as a reference: it is added with everything below it. `without`: fields of a request that
  // stand in its path.
  Json Ref(const google::protobuf::Descriptor* message, Use use, const std::set<std::string>& without = {});
  // The schema of one field's value. Output-only fields are nobody's to ask for here.
  Json Field(const google::protobuf::FieldDescriptor* field, Use use);
  // The message gets its short name, whatever else is called so.
  void Reserve(const google::protobuf::Descriptor* message) {
    owners_.try_emplace(message->name(), message->full_name());
  }
  // Adds a schema of the gateway's own.
  void Add(const std::string& name, Json schema) { all_[name] = std::move(schema); }
  // By name, in order.
  Json Take();

 private:
  Json Object(const google::protobuf::Descriptor* message, Use use, const std::set<std::string>& without);
  Json Value(const google::protobuf::FieldDescriptor* field, Use use);
  Json EnumRef(const google::protobuf::EnumDescriptor* descriptor);
  std::string NameOf(const std::string& full_name, const std::string& file_package, const std::string& suffix);

  std::map<std::string, Json> all_;
  std::map<std::string, std::string> owners_;  // name -> what it was made of
};

Json RefTo(const std::string& name);

}  // namespace crm::gateway::openapi
