#include "services/analytics/live.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "common/base/clock.h"
#include "services/analytics/store.h"

namespace crm::analytics {

void Live::Listen(events::Consumer& consumer) {
  consumer.AfterCommit([this](const events::v1::Event& event) {
    auto tenant = ParseId(event.tenant_id(), "tenant", "tenant_id");
    if (tenant.ok()) Changed(*tenant);
  });
}

void Live::Changed(const Uuid& tenant) {
  std::lock_guard lock(mutex_);
  const auto waiting = watchers_.find(tenant);
  if (waiting == watchers_.end()) return;
  for (const auto& state : waiting->second) {
    if (state->changed.exchange(true)) continue;  // it knows
    asio::post(state->executor, [state] { state->bell.Ring(); });
  }
}

size_t Live::watcher_count() const {
  std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const auto& [tenant, states] : watchers_) count += states.size();
  return count;
}

Live::Watcher::Watcher(Live& live, const Uuid& tenant, asio::any_io_executor executor)
    : live_(live), tenant_(tenant), state_(std::make_shared<State>(std::move(executor))) {
  std::lock_guard lock(live_.mutex_);
  live_.watchers_[tenant_].push_back(state_);
}

Live::Watcher::~Watcher() {
  std::lock_guard lock(live_.mutex_);
  auto& states = live_.watchers_[tenant_];
  states.erase(std::remove(states.begin(), states.end(), state_), states.end());
  if (states.empty()) live_.watchers_.erase(tenant_);
}

asio::awaitable<bool> Live::Watcher::Wait(std::chrono::milliseconds time) {
  if (!state_->changed) co_await state_->bell.Wait(time);
  co_return state_->changed.exchange(false);
}

Call CallNow(const Call& call) {
  Call now = call;
  now.start = Now();
  now.deadline = std::min(call.deadline, std::chrono::steady_clock::now() + kWatchTimeout);
  return now;
}

Async<std::string> PositionNow(pg::Db& db, const Call& call) {
  pg::Batch batch(call);
  AddPositions(batch);
  CRM_CO_TRY(auto results, co_await db.Read(call, std::move(batch)));
  co_return PositionsOf(results[0]).Text();
}

}  // namespace crm::analytics
