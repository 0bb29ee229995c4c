// Reading one's own write across services. A write answers `Crm-Position`: which service has it. A read that sends it back
// as `Crm-After` waits, up to a second, until the service that answers has heard of everything that the tenant had
// written there; else it is answered all the same, and `Crm-Stale: 1` says that it may be behind.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "services/gateway/peers.h"

namespace crm::gateway {

inline constexpr char kPositionHeader[] = "Crm-Position";
inline constexpr char kAfterHeader[] = "Crm-After";
inline constexpr char kStaleHeader[] = "Crm-Stale";

// The services of "contact, deal_pipeline", each once; INVALID_ARGUMENT for what no answer has said.
absl::StatusOr<std::vector<std::string>> ReadAfter(std::string_view header, const Peers& peers);

// True if `service` has heard the tenant's events of all `producers`; waits for it.
Async<bool> AwaitAfter(const Peers& peers, const Call& call, std::string service, std::vector<std::string> producers);

}  // namespace crm::gateway
