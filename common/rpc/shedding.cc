#include "common/rpc/shedding.h"

#include <absl/strings/match.h>

#include <cstdint>
#include <vector>

#include "common/base/clock.h"
#include "common/obs/log.h"
#include "common/rpc/refusals.h"
#include "common/rpc/wire.h"

namespace crm::rpc::server_internal {

namespace {

constexpr std::array<const char*, kSheds> kShedNames = {"queue full", "queue slow", "deadline", "services", "streams"};
constexpr auto kShedLogEvery = std::chrono::seconds(1);
// Few, so that HPACK needs each only once a connection.
constexpr std::array<int, 4> kRetryMs = {400, 600, 800, 1000};

obs::Counter ShedCounter(Shed why) {
  return obs::MakeCounter("crm_rpc_shed_total", "Calls refused because there were too many, by what ran out",
                          {{"why", kShedNames[static_cast<size_t>(why)]}});
}

}  // namespace

Shed ShedOf(Admission::Why why) {
  switch (why) {
    case Admission::Why::kQueueFull:
      return Shed::kQueueFull;
    case Admission::Why::kQueueSlow:
      return Shed::kQueueSlow;
    case Admission::Why::kDeadline:
      break;
  }
  return Shed::kDeadline;
}

ShedMetrics::ShedMetrics()
    : refused{ShedCounter(Shed::kQueueFull), ShedCounter(Shed::kQueueSlow), ShedCounter(Shed::kDeadline),
              ShedCounter(Shed::kServices), ShedCounter(Shed::kStreams)},
      wait_seconds(obs::MakeHistogram("crm_rpc_wait_seconds", "Time that calls waited for their turn, if they did")) {}

std::string TokenTenants::Of(absl::string_view authorization) {
  if (!absl::StartsWithIgnoreCase(authorization, "Bearer ")) return "";
  const absl::string_view token = authorization.substr(7);
  auto it = kept_.find(token);
  if (it != kept_.end()) return it->second;
  const auto identity = authenticator_.Kept(token, Now());
  if (identity == nullptr) return "";
  if (kept_.size() >= kKeptMax) kept_.clear();
  return kept_.emplace(std::string(token), identity->principal.tenant_id()).first->second;
}

namespace {

struct PreparedRefusal {
  absl::Status status;
  wire::PreparedStatus wire;
};

const PreparedRefusal& NextRefusal() {
  static const auto* all = [] {
    auto* made = new std::vector<PreparedRefusal>;
    for (int ms : kRetryMs) {
      const absl::Status status = Overloaded(std::chrono::milliseconds(ms));
      made->push_back({status, wire::PreparedStatus(wire::ToWire(status))});
    }
    return made;
  }();
  thread_local size_t next = 0;
  return (*all)[next++ % all->size()];
}

}  // namespace

const absl::Status& RefusalStatus() { return NextRefusal().status; }
const wire::PreparedStatus& Refusal() { return NextRefusal().wire; }

void ShedLog::Flush(Admission::Time now, const std::string& crowd) {
  if (said_ != Admission::Time::min() && now - said_ < kShedLogEvery) return;
  if (all_ == 0) return;
  said_ = now;
  obs::Log(obs::Level::kWarning, "calls were refused: there are too many",
           {{"calls", all_},
            {"queue_full", counts_[0]},
            {"queue_slow", counts_[1]},
            {"deadline", counts_[2]},
            {"services", counts_[3]},
            {"streams", counts_[4]},
            {"most_waiting", crowd}});
  counts_ = {};
  all_ = 0;
}

}  // namespace crm::rpc::server_internal
