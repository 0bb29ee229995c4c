#include "services/gateway/edge.h"

#include <absl/strings/str_cat.h>

#include <memory>

#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/gateway/api.h"
#include "services/gateway/gateway.h"
#include "services/gateway/http_server.h"

namespace crm::gateway {

absl::Status Start(app::Runtime& runtime) {
  const app::v1::Config& config = runtime.config();
  struct Parts {
    std::unique_ptr<Api> api;
    std::unique_ptr<Gateway> gateway;
    std::unique_ptr<HttpServer> server;
  };
  auto* parts = new Parts;  // for the process's life: loops use it to the end
  CRM_TRY(parts->api, Api::Load(config.gateway().descriptors_file()));
  Peers peers;
  for (const auto& [service, address] : config.peers()) peers.Add(service, &runtime.peer(service));
  for (const auto& service : parts->api->services()) {
    if (!config.peers().contains(service)) {
      obs::Log(obs::Level::kWarning, "routes to a service without an address answer 503", {{"service", service}});
    }
  }
  parts->gateway = std::make_unique<Gateway>(config.gateway(), *parts->api, std::move(peers), runtime.authenticator(),
                                             &runtime.redis(), runtime.loops(), config.in_flight_max());
  HttpServerOptions options;
  options.listen = config.listen();
  if (config.gateway().body_bytes_max() > 0) options.body_bytes_max = config.gateway().body_bytes_max();
  if (config.gateway().connections_max() > 0) options.connections_max = config.gateway().connections_max();
  parts->server = std::make_unique<HttpServer>(
      options, runtime.loops(), [parts](HttpRequest& request) { return parts->gateway->Handle(request); },
      [parts](HttpRequest& request, absl::Status status, unsigned http_status) {
        return parts->gateway->Refuse(request, std::move(status), http_status);
      });
  runtime.Job("live", [parts](Call) { return parts->gateway->RunLive(); });
  runtime.OnDrain([parts, &config]() -> Async<> {
    // A little less than the whole patience, so that the process sees it end.
    auto patience = std::chrono::milliseconds(config.drain_seconds() > 0 ? config.drain_seconds() * 1000 : 10'000);
    co_await parts->server->Drain(patience - std::chrono::milliseconds(500));
    co_return absl::OkStatus();
  });
  return parts->server->Listen();
}

}  // namespace crm::gateway
