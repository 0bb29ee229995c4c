#include "tools/loadgen/requests.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "common/json/json.h"

namespace crm::loadgen {
namespace {

// Names in the order in which they first stand.
class Names {
 public:
  explicit Names(std::vector<std::string>& names) : names_(names) {}
  int IdOf(const std::string& name) {
    auto [it, added] = ids_.emplace(name, static_cast<int>(names_.size()));
    if (added) names_.push_back(name);
    return it->second;
  }

 private:
  std::vector<std::string>& names_;
  absl::flat_hash_map<std::string, int> ids_;
};

absl::StatusOr<std::string> WireOf(const std::string& method, const std::string& body) {
  const auto* rpc = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(method);
  if (rpc == nullptr) return absl::InvalidArgumentError(absl::StrCat("no proto has the method ", method));
  const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(rpc->input_type());
  std::unique_ptr<google::protobuf::Message> message(prototype->New());
  CRM_TRY(json::Read(body, *message));
  return message->SerializeAsString();
}

absl::Status ReadLine(const std::string& line, Requests& out, Names& classes, Names& labels, Names& callers) {
  const auto parsed = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return absl::InvalidArgumentError("is no JSON object");
  const auto text = [&](const char* name) {
    auto it = parsed.find(name);
    return it != parsed.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  Request request;
  request.method = text("method");
  request.verb = text("http");
  request.path = text("path");
  const auto body = parsed.find("body");
  if (body != parsed.end()) request.body = body->dump();
  if (request.method.empty() == request.verb.empty()) {
    return absl::InvalidArgumentError("must have either `method` or `http`");
  }
  if (!request.verb.empty() && request.path.empty()) return absl::InvalidArgumentError("has no `path`");
  if (!request.method.empty()) {
    CRM_TRY(request.body, WireOf(request.method, request.body.empty() ? "{}" : request.body));
  }
  (request.method.empty() ? out.http : out.grpc) = true;
  request.class_id = classes.IdOf(text("class"));
  if (const std::string label = text("label"); !label.empty()) request.label_id = labels.IdOf(label);
  request.caller_id = callers.IdOf(text("caller"));
  out.all.push_back(std::move(request));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Requests> ReadRequests(const std::string& file) {
  std::ifstream in(file);
  if (!in) return absl::NotFoundError(absl::StrCat(file, " cannot be read"));
  Requests out;
  Names classes(out.classes), labels(out.labels), callers(out.callers);
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    if (out.all.size() == kRequestsMax) {
      return absl::ResourceExhaustedError(absl::StrCat(file, " has more than ", kRequestsMax, " requests"));
    }
    if (absl::Status status = ReadLine(line, out, classes, labels, callers); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(file, ":", number, ": ", status.message()));
    }
  }
  if (out.all.empty()) return absl::InvalidArgumentError(absl::StrCat(file, " has no requests"));
  return out;
}

}  // namespace crm::loadgen
