// Calls to other services: co_await, with the caller's principal, what is left of its deadline and its trace.
//
//   CRM_CO_TRY(auto contact, co_await contacts_.Unary<contact::v1::Contact>(call, "crm.contact.v1.ContactService.GetContact", request));
//
// UNAVAILABLE is retried (3 attempts, backoff with jitter) for reads and for requests that carry a request_id.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/base/status.h"

namespace crm::rpc {

struct ClientOptions {
  std::string address;               // "127.0.0.1:7102" or "dns:///contact:7000"
  std::string ca_file, cert_file, key_file;
};

class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();

  // Calls as the call's principal (its token travels on). A call without a token travels as the
  // service itself: its certificate and the tenant in metadata; such calls may only reach rpcs marked `service`.
  template <typename Response>
  Async<Response> Unary(const Call& call, std::string method, const google::protobuf::Message& request) {
    CRM_CO_TRY(std::string bytes, co_await UnaryBytes(call, std::move(method), request.SerializeAsString()));
    Response response;
    if (!response.ParseFromString(bytes)) co_return absl::InternalError("the answer cannot be read");
    co_return response;
  }
  Async<std::string> UnaryBytes(const Call& call, std::string method, std::string request);

  // Server streaming: `on_message` is called on the caller's loop per message, in order; the stream ends when it answers
  // an error, when the server ends it, or at the call's deadline (none for deadline == max).
  Async<> StreamBytes(const Call& call, std::string method, std::string request,
                      std::function<Async<>(std::string)> on_message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace crm::rpc
