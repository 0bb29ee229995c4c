// A server's stream on its way to a client, in whichever form the client reads streams.
#pragma once

#include <absl/status/statusor.h>

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "common/rpc/client.h"
#include "services/gateway/http.h"
#include "services/gateway/sse.h"

namespace crm::gateway {

// How a stream is written: server-sent events, Connect's envelopes, gRPC-Web's frames.
struct StreamForm {
  std::string open;       // before the first message
  std::string heartbeat;  // after kHeartbeat of silence; empty: the form has none
  // One message of the service's. An error ends the stream.
  std::function<absl::StatusOr<std::string>(const std::string& bytes)> message;
  // The last words; the status is OK at a stream's own end.
  std::function<std::string(const absl::Status&)> end;
};

// Runs the call and writes what comes until one of the two ends. `recheck` may be null: then nobody has rights that
// could be lost.
asio::awaitable<void> RunPipe(rpc::Client& peer, rpc::RawCall raw, StreamForm form, std::shared_ptr<Recheck> recheck,
                              StreamSink& sink);

}  // namespace crm::gateway
