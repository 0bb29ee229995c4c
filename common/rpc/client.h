// Calls to other services: co_await, with the caller's principal, what is left of its deadline and its trace.
//
//   CRM_CO_TRY(auto contact, co_await contacts_.Unary<contact::v1::Contact>(call,
//   "crm.contact.v1.ContactService.GetContact", request));
//
// Calls are spread over all addresses of the service that answer. Errors are the callee's, with its details
// (common/base/error.h). UNAVAILABLE is retried (3 attempts, backoff with jitter, within the deadline and a budget) for
// reads, for requests that carry a request_id and for what has certainly not been begun; not when the callee says that it
// is overloaded: repeating would make that worse. What a server that leaves has not begun goes to another at once.
#pragma once

#include <google/protobuf/message.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/base/id.h"
#include "common/base/status.h"

namespace crm::rpc {

struct ClientOptions {
  // "127.0.0.1:7102" or "dns:///contact:7000", whose name may stand for many; several with commas between.
  std::string address;
  std::string ca_file, cert_file, key_file;
  // The service that must answer: its certificate's common name or one of its DNS names. Empty: the certificate must
  // name the host of the address.
  std::string peer;
};

// A call without a Call, for the gateway: bytes in, bytes out, the metadata as given (names: metadata.h). Without a
// token and without kAnonymousMetadata the callee takes it for a call of this service itself.
struct RawCall {
  std::string method;  // "crm.contact.v1.ContactService.GetContact"
  std::string request;
  std::vector<std::pair<std::string, std::string>> metadata;  // names in lower case
  // max: a unary call gets kUnaryTimeMax, a stream none.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  // Whose it is, if calls of theirs need not be sent while the callee refuses most of them as too many (throttle.h): those
  // of users, by what first takes them in. Nil: always sent.
  Uuid tenant;
  // May be sent again after UNAVAILABLE: a read, or a write with an idempotency key.
  bool retriable = false;
};

class Client {
 public:
  // What a unary call gets when its caller sets no deadline.
  static constexpr auto kUnaryTimeMax = std::chrono::seconds(10);
  static constexpr int kAttemptsMax = 3;
  // The largest answer that is read.
  static constexpr int kReplyBytesMax = 8 << 20;

  explicit Client(ClientOptions options);
  ~Client();

  // Calls as the call's principal (its token travels on). A call without a token travels as the
  // service itself: its certificate and the tenant in metadata; such calls may only reach rpcs marked `service`.
  // A call of an anonymous user travels as that, whatever the certificate.
  template <typename Response>
  Async<Response> Unary(const Call& call, std::string method, const google::protobuf::Message& request) {
    const bool retriable = Retriable(method, request);
    CRM_CO_TRY(std::string bytes, co_await Send(call, std::move(method), request.SerializeAsString(), retriable));
    Response response;
    if (!response.ParseFromString(bytes)) co_return absl::InternalError("the answer cannot be read");
    co_return response;
  }
  // Not retried.
  Async<std::string> UnaryBytes(const Call& call, std::string method, std::string request) {
    return Send(call, std::move(method), std::move(request), false);
  }

  // Server streaming: `on_message` is called on the caller's loop per message, in order; the stream ends when it
  // answers an error, when the server ends it, or at the call's deadline (none for deadline == max).
  Async<> StreamBytes(const Call& call, std::string method, std::string request,
                      std::function<Async<>(std::string)> on_message);

  // The same with explicit metadata. Cancelling the awaiting coroutine (asio::cancellation_type::terminal, or the
  // cancellation_slot it was spawned with) cancels the call on the wire; it then answers CANCELLED. `on_message` is
  // awaited before the next message is read, so a slow reader slows the server down.
  Async<std::string> UnaryRaw(RawCall call);
  Async<> StreamRaw(RawCall call, std::function<Async<>(std::string)> on_message);

  // Calls that were refused here.
  int64_t throttled() const;

  // The metadata that a Call travels with; what UnaryBytes sends.
  static std::vector<std::pair<std::string, std::string>> MetadataOf(const Call& call);

 private:
  static bool Retriable(const std::string& method, const google::protobuf::Message& request);
  Async<std::string> Send(const Call& call, std::string method, std::string request, bool retriable);

  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::rpc
