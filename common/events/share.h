// Which shards this replica serves. A replica keeps one row that says until when it is alive; the live replicas of a
// consumer divide the shards by their rank, so a renewal writes one row, not one per shard, and nobody hands anything
// over. For a moment two may serve the same shard, or none: that costs time, not correctness (the lane's lock and the
// position's guard see to that).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/events/wire.h"
#include "common/pg/db.h"

namespace crm::events {

class Share {
 public:
  // `consumer` names what is shared: "relay", or the producer that is heard.
  Share(pg::Db& worker_db, std::string service, std::string consumer, std::string holder,
        std::chrono::milliseconds lease);

  // Renews when a third of the lease has passed; otherwise does nothing. Answers whether the shards have changed.
  // Without the database everything stays as it was.
  asio::awaitable<bool> Renew();
  // Gives up the share, so that the others take over at their next renewal.
  asio::awaitable<void> Release();

  const std::vector<int>& shards() const { return shards_; }
  bool Has(int shard) const;

  // The shards of the one that stands at `rank` among `count`.
  static std::vector<int> Divide(int rank, int count);

 private:
  pg::Db& db_;
  std::string service_, consumer_, holder_;
  std::chrono::milliseconds lease_;
  std::chrono::steady_clock::time_point renew_at_{};
  std::vector<int> shards_;
};

}  // namespace crm::events
