// `?expand=owner,company`: finds the ids that an answer refers to, asks their services for short forms under the
// caller's rights, and makes the `refs` of the answer. Generic over descriptors: whatever field has the `ref` option
// can be named.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <set>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "services/gateway/api.h"
#include "services/gateway/peers.h"

namespace crm::gateway {

// At most this many records per answer; more is INVALID_ARGUMENT, because a missing ref means "not there or not yours".
inline constexpr size_t kExpandMax = 500;

// The ids at the named fields of a message on the wire, each once. DATA_LOSS for bytes that are no message.
absl::Status CollectRefs(const RefNode& node, absl::string_view wire, const std::vector<std::string>& names,
                         std::set<std::string>& ids);

struct Refs {
  std::string json;                  // {"user_...": {"id": ...}, ...}
  std::vector<std::string> missing;  // services that did not answer: their refs are left out
};
Async<Refs> Expand(const Api& api, const Peers& peers, const Call& call, const RpcRoute& route,
                   const std::vector<std::string>& names, const std::string& answer);

}  // namespace crm::gateway
