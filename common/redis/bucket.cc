#include "common/redis/bucket.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "common/obs/metrics.h"

namespace crm::redis {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// KEYS[1] bucket; ARGV rate per second, size, tokens wanted. Answers tokens given, tokens left, ms until there is one
// more. Redis' clock is the only one, so gateways need not agree on the time.
constexpr char kLease[] = R"lua(
local rate, size, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local b = redis.call('HMGET', KEYS[1], 'n', 't')
local n = tonumber(b[1]) or size
n = math.min(size, n + math.max(0, now - (tonumber(b[2]) or now)) * rate)
local given = math.min(want, math.floor(n))
n = n - given
redis.call('HSET', KEYS[1], 'n', string.format('%.6f', n), 't', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(size / rate * 1000) + 1000)
local wait = 0
if n < 1 then wait = math.ceil((1 - n) / rate * 1000) end
return {given, math.floor(n), wait}
)lua";

constexpr milliseconds kIdle{60'000};
// A lease covers about 50 ms of the rate and at most a tenth of the bucket: 20 calls of Redis per second and busy key,
// and the process that holds one can overdraw the limit by no more than that.
constexpr double kLeaseSeconds = 0.05;
constexpr double kLeaseShare = 0.1;
constexpr double kLeaseMax = 1000;

}  // namespace

struct Bucket::Key {
  explicit Key(const asio::any_io_executor& executor) : wake(executor, steady_clock::time_point::max()) {}

  double leased = 0;     // tokens taken from Redis and not used yet
  double remaining = 0;  // in Redis, as of the last lease
  steady_clock::time_point refused_until{};
  bool leasing = false;
  int waiting = 0;          // takers who wait for the lease under way
  asio::steady_timer wake;  // ends their wait

  double local = -1;  // the bucket used without Redis; -1: full
  steady_clock::time_point local_at{};
  steady_clock::time_point used{};
};

Bucket::Bucket(Client& client) : client_(client) {}
Bucket::~Bucket() = default;

BucketAnswer Bucket::TakeLocally(Key& key, const BucketLimit& limit, steady_clock::time_point now) {
  double size = std::max(1.0, limit.burst);
  if (key.local < 0) key.local = size;
  double passed = std::chrono::duration<double>(now - key.local_at).count();
  key.local = std::min(size, key.local + std::max(0.0, passed) * limit.rate_per_second);
  key.local_at = now;
  BucketAnswer answer;
  if (key.local >= 1) {
    key.local -= 1;
    answer.remaining = std::floor(key.local);
  } else {
    answer.allowed = false;
    answer.retry_after = milliseconds(static_cast<int64_t>(std::ceil((1 - key.local) / limit.rate_per_second * 1000)));
  }
  return answer;
}

std::shared_ptr<Bucket::Key> Bucket::Find(const std::string& name, const asio::any_io_executor& executor,
                                          steady_clock::time_point now) {
  auto [it, fresh] = keys_.try_emplace(name);
  if (fresh) it->second = std::make_shared<Key>(executor);
  std::shared_ptr<Key> key = it->second;
  key->used = now;
  if (keys_.size() > kKeysMax && now >= sweep_at_) {
    sweep_at_ = now + kIdle / 10;
    absl::erase_if(keys_,
                   [&](const auto& entry) { return !entry.second->leasing && now - entry.second->used > kIdle; });
  }
  return key;
}

asio::awaitable<BucketAnswer> Bucket::Take(std::string name, BucketLimit limit) {
  static const obs::Counter local = obs::MakeCounter("crm_rate_limit_local_total", "Requests limited without Redis");
  if (limit.rate_per_second <= 0) co_return BucketAnswer{};
  auto executor = co_await asio::this_coro::executor;
  std::shared_ptr<Key> key = Find(name, executor, steady_clock::now());
  for (;;) {
    auto now = steady_clock::now();
    if (key->leased >= 1) {
      key->leased -= 1;
      co_return BucketAnswer{true, key->remaining + std::floor(key->leased), milliseconds(0)};
    }
    if (now < key->refused_until) {
      auto wait = std::chrono::ceil<milliseconds>(key->refused_until - now);
      co_return BucketAnswer{false, 0, wait};
    }
    if (now < local_until_) {
      local.Add();
      co_return TakeLocally(*key, limit, now);
    }
    if (key->leasing) {
      ++key->waiting;
      co_await key->wake.async_wait(asio::as_tuple(asio::use_awaitable));
      --key->waiting;
      auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) {
        co_return BucketAnswer{false, 0, milliseconds(1000)};
      }
      continue;
    }
    double size = std::max(1.0, limit.burst);
    double chunk = std::min({limit.rate_per_second * kLeaseSeconds, size * kLeaseShare, kLeaseMax});
    key->leasing = true;
    absl::StatusOr<Reply> reply =
        co_await client_.Command(Args("EVAL", kLease, 1, "bucket:" + name, limit.rate_per_second, size,
                                      std::max<int64_t>(1, static_cast<int64_t>(chunk))));
    key->leasing = false;
    now = steady_clock::now();
    if (reply.ok() && reply->items.size() == 3) {
      key->leased += static_cast<double>(reply->items[0].integer);
      key->remaining = static_cast<double>(reply->items[1].integer);
      if (key->leased < 1) key->refused_until = now + milliseconds(std::max<int64_t>(1, reply->items[2].integer));
      key->local = -1;
    } else {
      local_until_ = now + kLocalAfterError;
    }
    key->wake.cancel();
  }
}

}  // namespace crm::redis
