#include "services/gateway/after.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/events/event_log.h"
#include "crm/events/v1/event.pb.h"
#include "services/gateway/together.h"

namespace crm::gateway {

absl::StatusOr<std::vector<std::string>> ReadAfter(std::string_view header, const Peers& peers) {
  std::vector<std::string> services;
  for (absl::string_view part : absl::StrSplit(absl::string_view(header.data(), header.size()), ',')) {
    std::string name(absl::StripAsciiWhitespace(part));
    if (name.empty()) continue;
    const auto known = peers.names();
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return FieldError(kAfterHeader, "must be what a write answered as Crm-Position; several with commas between");
    }
    if (std::find(services.begin(), services.end(), name) == services.end()) services.push_back(std::move(name));
  }
  return services;
}

namespace after {

// What a service has written it has at once, but not what it makes of its own events (a timeline): it is asked to wait for those, if
// it hears itself.
Async<bool> HeardItself(const Peers& peers, const Call& own, std::string tenant, std::string service) {
  CRM_CO_TRY(rpc::Client * reader, peers.Find(service));
  events::v1::AwaitPositionRequest position;
  position.set_tenant_id(tenant);
  position.set_producer(service);
  position.set_seq(events::kCommitted);
  CRM_CO_TRY(auto place, co_await reader->Unary<events::v1::AwaitPositionResponse>(
                             own, "crm.events.v1.EventLog.AwaitPosition", position));
  co_return place.reached();
}

// Asks the producer how far it has got, and the reader to wait until it has heard that far.
Async<bool> Heard(const Peers& peers, const Call& own, std::string tenant, std::string service, std::string producer) {
  CRM_CO_TRY(rpc::Client * writer, peers.Find(producer));
  events::v1::SettleLaneRequest settle;
  settle.set_tenant_id(tenant);
  CRM_CO_TRY(auto lane,
             co_await writer->Unary<events::v1::SettleLaneResponse>(own, "crm.events.v1.EventLog.SettleLane", settle));
  if (!lane.settled()) co_return false;
  CRM_CO_TRY(rpc::Client * reader, peers.Find(service));
  events::v1::AwaitPositionRequest position;
  position.set_tenant_id(tenant);
  position.set_producer(producer);
  position.set_seq(lane.seq());
  CRM_CO_TRY(auto place, co_await reader->Unary<events::v1::AwaitPositionResponse>(
                             own, "crm.events.v1.EventLog.AwaitPosition", position));
  co_return place.reached();
}

}  // namespace after

Async<bool> AwaitAfter(const Peers& peers, const Call& call, std::string service, std::vector<std::string> producers) {
  // The gateway's own question, for the tenant of the caller.
  Call own = call;
  own.principal = Principal();
  own.principal.kind = Principal::Kind::kService;
  own.principal.user_id = "service_gateway";
  own.token.clear();
  own.idempotency_key.clear();
  const std::string tenant = call.principal.tenant_id();
  bool all = true;
  auto wait = [&](size_t i) -> asio::awaitable<void> {
    absl::StatusOr<bool> heard = false;
    if (producers[i] == service) {
      heard = co_await after::HeardItself(peers, own, tenant, service);
    } else {
      heard = co_await after::Heard(peers, own, tenant, service, producers[i]);
    }
    all = all && heard.ok() && *heard;  // a producer that is away cannot say, so the reader is told
  };
  co_await Together(producers.size(), wait);
  co_return all;
}

}  // namespace crm::gateway
