// What is to be sent: a file of JSON lines, read and translated before the clock starts.
//
//   {"method": "crm.contact.v1.ContactService.GetContact", "body": {"id": "contact_..."}}
//   {"http": "GET", "path": "/v1/contacts/contact_..."}
//   {"http": "POST", "path": "/v1/contacts", "body": {...}, "class": "create", "label": "the third"}
//   {"method": "crm.contact.v1.ContactService.ListContacts", "class": "quiet", "caller": "the third tenant"}
//
// `class` divides the report, `label` names the slowest request of a class, `caller` whose token it carries; all may be left
// out.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace crm::loadgen {

struct Request {
  std::string method;  // of gRPC, "package.Service.Method"; empty for HTTP
  std::string verb;    // of HTTP
  std::string path;
  std::string body;   // protobuf's wire bytes for gRPC, JSON for HTTP
  int class_id = 0;   // into Requests::classes
  int label_id = -1;  // into Requests::labels
  int caller_id = 0;  // into Requests::callers
};

struct Requests {
  std::vector<Request> all;
  std::vector<std::string> classes;  // at least one
  std::vector<std::string> labels;
  std::vector<std::string> callers;  // at least one; "" for who is not named
  bool grpc = false;                 // some are of this kind
  bool http = false;
};

// Bounds the memory that a mistaken file takes.
inline constexpr size_t kRequestsMax = 2'000'000;

absl::StatusOr<Requests> ReadRequests(const std::string& file);

}  // namespace crm::loadgen
