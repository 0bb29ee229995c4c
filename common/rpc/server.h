// The gRPC server: takes service.h's services and does for every rpc what is the same for all (see there). Everything
// but the handlers' own work happens here.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/rpc/access.h"
#include "common/rpc/service.h"

namespace crm::rpc {

// The largest request; larger ones are refused with TOO_LARGE.
inline constexpr int kRequestBytesMax = 4 << 20;
// What a call gets that says nothing, and the most that one can ask for. Streams have only their caller's.
inline constexpr auto kDeadlineDefault = std::chrono::seconds(10);
inline constexpr auto kDeadlineMax = std::chrono::seconds(30);
// How often a handler that lost a race is run again.
inline constexpr int kLostRacesMax = 3;
// Idempotency keys and request ids.
inline constexpr size_t kKeyBytesMax = 100;

struct ServerOptions {
  std::string listen;         // "127.0.0.1:7101"; port 0 takes a free one; empty: health alone
  std::string health_listen;  // plaintext grpc.health.v1; empty: none
  std::string ca_file, cert_file, key_file;
  // Unary calls being served for users; as many again for other services, whose own limits bound them: what was admitted
  // there is not to be refused half-way here. By Little's law 256 at 10 ms each are 25,600/s, far more than one process
  // can do. Users' calls beyond that wait shortly, by tenant (admission.h); what cannot be answered in time is refused with
  // OVERLOADED.
  int in_flight_max = 256;
  // Streams open at once: each holds a few kilobytes and no thread.
  int streams_max = 4096;
  std::chrono::milliseconds deadline_default{kDeadlineDefault};
  std::chrono::milliseconds deadline_max{kDeadlineMax};
  // A connection is closed after this long, so that clients look up new servers; then the grace for what runs on it.
  std::chrono::seconds connection_age_max{300};
  std::chrono::seconds connection_grace{30};
  // Looks for the first answer to a write that was repeated under its key and now fails, because what it asks for is
  // done
  // ("the deal is already in Won"). Fills `reply` and answers true if there is one. Without it such a repeat gets the
  // error.
  std::function<Async<bool>(const Call& call, google::protobuf::Message& reply)> kept_reply;
};

// What the server holds a service to: every rpc of the descriptor has a handler of its kind with its types and an
// access option, and its request has only validation rules that we know. The text names all that is wrong.
absl::Status CheckService(const Service& service);

class Server {
 public:
  // Connections, and the handlers of their calls, run on `loops` by turns. Loops and authenticator outlive the server.
  Server(ServerOptions options, std::vector<asio::any_io_executor> loops, Authenticator& authenticator);
  // Drains at once if that has not been done.
  ~Server();

  void Add(std::unique_ptr<Service> service);

  // Checks the services, binds, serves. FAILED_PRECONDITION with what is wrong.
  absl::Status Start();
  int port() const;
  int health_port() const;  // 0: none

  // What the health service answers; false at first.
  void SetServing(bool serving);

  // Takes no more connections, tells callers to go elsewhere (GOAWAY), answers what it has taken, cancels what still runs
  // after `patience`; streams are told at once.
  // Blocks; not from a loop. The loops must go on running meanwhile.
  void Drain(std::chrono::milliseconds patience);

  int in_flight() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::rpc
