// Calls that a client does not even send, because its server has been refusing most of the same tenant's: of a tenant's
// calls at most about twice as many go out as are taken, and the others are refused here. So a flood costs its server
// hardly more than what it serves of it, whatever the flood's size, and the server still decides: what it takes again, it
// is sent more of (Beyer et al., Site Reliability Engineering, 2016, chapter 21: client-side throttling).
//
// Tenants that were not refused anything lately cost nothing. Not thread-safe: one a loop. No clock of its own.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <cmath>
#include <random>

#include "common/base/id.h"

namespace crm::rpc {

class Throttle {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whether a call is to be refused here; it counts as asked for either way.
  bool Refuses(const Uuid& tenant, Time now) {
    if (tenants_.empty()) return false;
    auto it = tenants_.find(tenant);
    if (it == tenants_.end()) return false;
    One& one = it->second;
    if (now - one.refused > kForgetAfter) {
      tenants_.erase(it);
      return false;
    }
    Decay(one, now);
    one.asked += 1;
    const double part = (one.asked - kPerTaken * one.taken) / (one.asked + 1);
    return part > 0 && std::uniform_real_distribution<double>(0, 1)(random_) < part;
  }
  // What became of a call that was sent: whether the server refused it because of too many.
  void Sent(const Uuid& tenant, bool refused, Time now) {
    if (!refused && tenants_.empty()) return;
    auto it = tenants_.find(tenant);
    if (it == tenants_.end()) {
      if (!refused) return;
      if (tenants_.size() >= kTenantsMax) tenants_.clear();
      it = tenants_.emplace(tenant, One{kCredit, kCredit, now, now}).first;
    }
    Decay(it->second, now);
    if (refused) {
      it->second.refused = now;
    } else {
      it->second.taken += 1;
    }
  }

 private:
  // Calls sent for one that is taken. Twice as many leave the server's own fairness something to choose from, and let
  // what is sent double each kWindow once it takes them again.
  static constexpr double kPerTaken = 2;
  static constexpr auto kWindow = std::chrono::seconds(1);
  // Somebody who asks little and was refused once or twice is not held back.
  static constexpr double kCredit = 10;
  static constexpr auto kForgetAfter = std::chrono::seconds(10);
  static constexpr size_t kTenantsMax = 4096;

  struct One {
    double asked, taken;  // of late: what is kWindow old counts a third
    Time at, refused;
  };
  static void Decay(One& one, Time now) {
    const double keep = std::exp(-std::chrono::duration<double>(now - one.at) / kWindow);
    one.asked *= keep;
    one.taken *= keep;
    one.at = now;
  }

  absl::flat_hash_map<Uuid, One> tenants_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace crm::rpc
