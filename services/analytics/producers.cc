#include "services/analytics/producers.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "common/base/status.h"
#include "common/events/loop.h"

namespace crm::analytics {
namespace asking {

constexpr auto kAgain = std::chrono::seconds(1);
constexpr auto kTimeout = std::chrono::seconds(5);
// Tenants remembered: those whose reports are being looked at. Beyond it all are forgotten and asked about again.
constexpr size_t kTenantsMax = 10'000;
// What a producer answers at most at once.
constexpr int kEventsMax = 1000;

}  // namespace asking

Producers::Producers(Sources sources) : state_(std::make_shared<State>()) { state_->sources = std::move(sources); }

Producers::Sources Producers::Of(const std::map<std::string, rpc::Client*>& peers) {
  Sources sources;
  for (const auto& [name, client] : peers) sources[name] = events::MakeRpcSource(*client);
  return sources;
}

asio::awaitable<bool> Producers::Ahead(Uuid tenant, Positions positions) {
  const auto now = std::chrono::steady_clock::now();
  bool ahead = false, ask = false;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->known.size() >= asking::kTenantsMax && !state_->known.contains(tenant)) state_->known.clear();
    Known& known = state_->known[tenant];
    for (const auto& [producer, head] : known.heads) ahead = ahead || head > positions.by_producer[producer];
    if (now - known.asked >= asking::kAgain) {
      known.asked = now;
      ask = true;
    }
  }
  if (ask) asio::co_spawn(co_await asio::this_coro::executor, Ask(state_, tenant), asio::detached);
  co_return ahead;
}

asio::awaitable<void> Producers::Ask(std::shared_ptr<State> state, Uuid tenant) {
  for (const auto& [producer, source] : state->sources) {
    Call call = events::OwnCall("analytics", "analytics.Ahead", tenant, asking::kTimeout);
    events::v1::ListEventsRequest request;
    request.set_tenant_id(TypeId("tenant", tenant));
    request.set_limit(1);
    {
      // The event itself is not wanted: ask for what comes after the last that we know of.
      std::lock_guard lock(state->mutex);
      request.set_after_seq(state->known[tenant].heads[producer]);
    }
    auto answer = co_await source->ListEvents(call, request);
    if (!answer.ok()) continue;  // nothing new is known
    std::lock_guard lock(state->mutex);
    uint64_t& head = state->known[tenant].heads[producer];
    head = std::max<uint64_t>(head, answer->head_seq());
  }
}

Async<std::vector<events::v1::Event>> Producers::Next(const Call& call, std::string producer, uint64_t after,
                                                      uint64_t up_to) {
  const auto source = state_->sources.find(producer);
  if (source == state_->sources.end()) co_return absl::InternalError("no producer is called " + producer);
  // As the service itself: a user's token opens no event log.
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - std::chrono::steady_clock::now());
  Call own = events::OwnCall("analytics", "analytics.Recount", call.tenant(), left);
  own.traceparent = call.traceparent;
  events::v1::ListEventsRequest request;
  request.set_tenant_id(TypeId("tenant", call.tenant()));
  request.set_after_seq(after);
  request.set_limit(asking::kEventsMax);
  CRM_CO_TRY(auto answer, co_await source->second->ListEvents(own, request));
  std::vector<events::v1::Event> events;
  for (auto& event : *answer.mutable_events()) {
    if (event.seq() != after + 1 || event.seq() > up_to) break;
    ++after;
    events.push_back(std::move(event));
  }
  if (events.empty()) {
    co_return absl::DataLossError(absl::StrCat(producer, " does not have its event ", after + 1, " any more"));
  }
  co_return events;
}

}  // namespace crm::analytics
