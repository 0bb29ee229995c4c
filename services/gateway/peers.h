// The services behind the gateway, by name.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>

#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/rpc/client.h"

namespace crm::gateway {

class Peers {
 public:
  void Add(const std::string& service, rpc::Client* client) { clients_[service] = client; }

  // UNAVAILABLE for a service that the configuration gives no address of.
  absl::StatusOr<rpc::Client*> Find(const std::string& service) const {
    auto it = clients_.find(service);
    if (it != clients_.end()) return it->second;
    return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
                 absl::StrCat("the service ", service, " is not set up here: ask the operator to add it to `peers`"),
                 {{"service", service}});
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, client] : clients_) names.push_back(name);
    return names;
  }

 private:
  absl::flat_hash_map<std::string, rpc::Client*> clients_;
};

}  // namespace crm::gateway
