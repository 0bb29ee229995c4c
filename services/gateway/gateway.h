// The edge itself: from an HTTP request to its answer. Routes, JSON, rights of access and references come from
// descriptors; nothing here knows an rpc by name, except those of identity that trade cookies and keys for tokens.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/json/json.h"
#include "common/obs/metrics.h"
#include "common/redis/client.h"
#include "common/rpc/access.h"
#include "crm/app/v1/config.pb.h"
#include "services/gateway/api.h"
#include "services/gateway/caller.h"
#include "services/gateway/gate.h"
#include "services/gateway/http.h"
#include "services/gateway/limiter.h"
#include "services/gateway/live.h"
#include "services/gateway/peers.h"
#include "services/gateway/pipe.h"

namespace crm::gateway {

class Gateway {
 public:
  // Reads in one POST /v1/batch.
  static constexpr size_t kBatchMax = 20;

  // All references outlive it; `redis` may be null.
  Gateway(const app::v1::Config::Gateway& config, const Api& api, Peers peers, rpc::Authenticator& authenticator,
          redis::Client* redis, std::vector<asio::any_io_executor> loops, int in_flight_max = Gate::kInFlightMax);

  // Answers one request, whatever it is; on any loop.
  asio::awaitable<HttpResponse> Handle(HttpRequest& request);
  // The answer to a request that could not be read or that failed.
  HttpResponse Refuse(HttpRequest& request, absl::Status status, unsigned http_status);

  // The live streams' source; runs on the first loop until cancelled.
  Async<> RunLive() { return live_.Run(); }

 private:
  asio::awaitable<HttpResponse> Dispatch(HttpRequest& request, Call& call);
  // A place among what is under way, for a request whose head has been read.
  Async<Gate::Place> Enter(const HttpRequest& request, const RpcRoute* route, const Call& call);
  Async<HttpResponse> ServeRpc(const HttpRequest& request, const RpcRoute& route, const RouteMatch& match, Call call,
                               const Caller* known);
  Async<HttpResponse> ServeOwn(Own own, const HttpRequest& request, const RouteMatch& match, const Call& call);
  // What everyone may read: descriptions and public keys.
  HttpResponse ServePublic(Own own, const HttpRequest& request);
  Async<HttpResponse> ServeBatch(const HttpRequest& request, const Call& call, const Caller& caller);
  asio::awaitable<HttpResponse> ServeWire(const HttpRequest& request, Call& call, Gate::Place& place);
  HttpResponse ServeOptions(const HttpRequest& request);
  absl::StatusOr<HttpResponse> Answer(const RpcRoute& route, const HttpRequest& request, std::string bytes,
                                      const std::string& extra);
  // The caller of a request that needs one, rate taken.
  Async<Caller> Admit(const HttpRequest& request, Call& call, Limiter::Headers& headers);
  // The same for a route; of a public one the address is counted, and the caller is anonymous.
  Async<Caller> AdmitTo(const RpcRoute& route, const HttpRequest& request, Call& call, Limiter::Headers& headers);
  // The call to a service; a write without an idempotency key gets one, in `call` too.
  rpc::RawCall CallOf(const RpcRoute& route, std::string bytes, Call& call);
  // Sends it; once more with a new token if a traded one is refused.
  Async<std::string> Ask(rpc::Client& peer, rpc::RawCall& raw, Caller& caller, Call& call);
  // Before a call: says where a write will be, and has a read wait for what its caller wrote elsewhere.
  Async<> Await(const HttpRequest& request, const RpcRoute& route, const Call& call, HttpResponse& response);
  void Stream(rpc::Client& peer, rpc::RawCall raw, StreamForm form, const Caller& caller, const Call& call,
              HttpResponse& response);
  // Moves the answer's cookie secret into Set-Cookie.
  absl::Status TakeCookie(const RpcRoute& route, std::string& bytes, HttpResponse& response);
  // Ends the cookie of somebody who has signed out.
  void SignOut(const RpcRoute& route, const Caller& caller, const std::string& request, HttpResponse& response);
  // ETag, and 304 if the client has it.
  void Tag(const RpcRoute& route, const HttpRequest& request, const std::string& bytes, HttpResponse& response);
  // What the client is told when a service's answer has no form here; the log has the reason.
  absl::Status Unwritten(const RpcRoute& route, const Call& call, const absl::Status& why);
  size_t BodyMax() const { return config_.body_bytes_max() > 0 ? config_.body_bytes_max() : json::kBytesMax; }
  // What every answer gets: security headers, CORS, gzip, metrics, log line.
  void Finish(const HttpRequest& request, const Call& call, HttpResponse& response);
  std::string ClientAddress(const HttpRequest& request) const;
  void Count(const std::string& route, unsigned status, std::chrono::steady_clock::duration time);

  const app::v1::Config::Gateway config_;
  const Api& api_;
  const Peers peers_;
  Callers callers_;
  Limiter limiter_;
  Gate gate_;
  Live live_;
  const std::string schema_, open_api_, open_api_gzip_;
  rpc::TokenVerifier& verifier_;

  struct RouteMetrics {
    obs::Histogram seconds;
    absl::flat_hash_map<unsigned, obs::Counter> answers;
  };
  std::mutex metrics_mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<RouteMetrics>> metrics_;
};

}  // namespace crm::gateway
