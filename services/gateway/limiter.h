// How much a tenant, and an address that has not signed in, may ask for: token buckets in Redis, leased in chunks, with
// a local fallback (common/redis/bucket.h). Answers RateLimit, RateLimit-Policy and Retry-After
// (draft-ietf-httpapi-ratelimit-headers-11).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/redis/bucket.h"
#include "services/gateway/http.h"

namespace crm::gateway {

struct LimiterOptions {
  int rate_per_second = 1000;   // per tenant; bursts of the same size
  int public_per_minute = 300;  // per client address, for sign-in, sign-up and public forms; bursts of a third
};

class Limiter {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // `redis` may be null: then each process limits alone.
  Limiter(LimiterOptions options, redis::Client* redis, std::vector<asio::any_io_executor> loops);
  ~Limiter();

  // OK or RESOURCE_EXHAUSTED with RATE_LIMITED and a retry delay; adds the headers either way.
  Async<> TakeTenant(std::string tenant_id, Headers& headers);
  Async<> TakeAddress(std::string address, Headers& headers);

 private:
  Async<> Take(std::string key, const char* policy, redis::BucketLimit limit, int quota, int window_seconds,
               std::string who, Headers& headers);
  redis::Bucket* BucketOf(const asio::any_io_executor& loop);

  LimiterOptions options_;
  std::unique_ptr<redis::Client> nowhere_;  // stands in for a missing Redis: every command fails at once
  std::vector<std::pair<asio::any_io_executor, std::unique_ptr<redis::Bucket>>> buckets_;  // one per loop
};

// What one client is limited by: an IPv4 address, or the /64 that an IPv6 client can choose freely in.
std::string LimitedAddress(const std::string& address);

}  // namespace crm::gateway
