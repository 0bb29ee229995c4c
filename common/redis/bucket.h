// Rate limits shared by all gateways: token buckets in Redis, from which each process leases tokens in chunks, so that
// most requests are decided without a round trip. Without Redis each process limits alone, at the full rate.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/redis/client.h"

namespace crm::redis {

struct BucketLimit {
  double rate_per_second = 0;  // 0: no limit
  double burst = 0;            // the bucket's size; at least 1
};

struct BucketAnswer {
  bool allowed = true;
  double remaining = 0;                      // about how many more would be allowed now, for the RateLimit header
  std::chrono::milliseconds retry_after{0};  // when refused
};

// Used from one event loop: make one per loop. A process may allow up to one chunk per loop more than the limit.
class Bucket {
 public:
  explicit Bucket(Client& client);
  ~Bucket();

  // Takes one token of `key` ("tenant:<uuid>"). Never fails: without Redis the local bucket decides.
  asio::awaitable<BucketAnswer> Take(std::string key, BucketLimit limit);

  static constexpr int kKeysMax = 100'000;                            // idle keys are forgotten beyond it
  static constexpr std::chrono::milliseconds kLocalAfterError{1000};  // how long Redis is not asked after an error

 private:
  struct Key;
  std::shared_ptr<Key> Find(const std::string& name, const asio::any_io_executor& executor,
                            std::chrono::steady_clock::time_point now);
  BucketAnswer TakeLocally(Key& key, const BucketLimit& limit, std::chrono::steady_clock::time_point now);

  Client& client_;
  std::chrono::steady_clock::time_point local_until_{};
  std::chrono::steady_clock::time_point sweep_at_{};
  absl::flat_hash_map<std::string, std::shared_ptr<Key>> keys_;
};

}  // namespace crm::redis
