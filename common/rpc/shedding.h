// What a server says and keeps of calls that it refuses because there are too many: cheaply, as a flood is when it
// matters. For our server, our client and the gateway.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>

#include <array>
#include <chrono>
#include <string>

#include "common/obs/metrics.h"
#include "common/rpc/access.h"
#include "common/rpc/admission.h"
#include "common/rpc/served_call.h"

namespace crm::rpc::server_internal {

// Why a call was refused: Admission's reasons and two limits that nobody waits for.
enum class Shed { kQueueFull, kQueueSlow, kDeadline, kServices, kStreams };
inline constexpr size_t kSheds = 5;
Shed ShedOf(Admission::Why why);

// Counts for all loops.
struct ShedMetrics {
  ShedMetrics();
  std::array<obs::Counter, kSheds> refused;
  obs::Histogram wait_seconds;
};

// The tenants behind bearer tokens, as far as they are known, for nothing but to tell tenants apart: a token stands for its
// tenant here even when it has ended. Not thread-safe.
class TokenTenants {
 public:
  static constexpr size_t kKeptMax = 4096;
  explicit TokenTenants(Authenticator& authenticator) : authenticator_(authenticator) {}
  // All tokens that have not been verified yet, or never will be, are as one tenant; so are calls without one.
  std::string Of(absl::string_view authorization);

 private:
  Authenticator& authenticator_;
  absl::flat_hash_map<std::string, std::string> kept_;
};

// OVERLOADED with a retry delay, prepared, and as it goes over the wire. Of the delays that it names each is as frequent, so that those who were refused together do not come
// back together.
const absl::Status& RefusalStatus();
const wire::PreparedStatus& Refusal();

// Says in the log how many were refused, once a second. Not thread-safe.
class ShedLog {
 public:
  void Add(Shed why) {
    ++counts_[static_cast<size_t>(why)];
    ++all_;
  }
  bool empty() const { return all_ == 0; }
  // `crowd`: the tenant with most calls waiting.
  void Flush(Admission::Time now, const std::string& crowd);

 private:
  std::array<int64_t, kSheds> counts_{};
  int64_t all_ = 0;
  Admission::Time said_ = Admission::Time::min();
};

}  // namespace crm::rpc::server_internal
