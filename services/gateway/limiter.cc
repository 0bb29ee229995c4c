#include "services/gateway/limiter.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>
#include <cmath>

#include "common/base/error.h"
#include "common/base/status.h"

namespace crm::gateway {

Limiter::Limiter(LimiterOptions options, redis::Client* redis, std::vector<asio::any_io_executor> loops)
    : options_(options) {
  if (!redis) {
    nowhere_ = std::make_unique<redis::Client>(
        redis::Options{.port = 1, .command_timeout = std::chrono::milliseconds(10)}, loops);
    redis = nowhere_.get();
  }
  for (auto& loop : loops) buckets_.emplace_back(loop, std::make_unique<redis::Bucket>(*redis));
}

Limiter::~Limiter() = default;

redis::Bucket* Limiter::BucketOf(const asio::any_io_executor& loop) {
  for (auto& [executor, bucket] : buckets_) {
    if (executor == loop) return bucket.get();
  }
  return nullptr;
}

Async<> Limiter::TakeTenant(std::string tenant_id, Headers& headers) {
  double rate = options_.rate_per_second;
  return Take(absl::StrCat("tenant:", tenant_id), "tenant", {rate, rate}, options_.rate_per_second, 1, "this account",
              headers);
}

Async<> Limiter::TakeAddress(std::string address, Headers& headers) {
  double quota = options_.public_per_minute;
  return Take(absl::StrCat("address:", LimitedAddress(address)), "address", {quota / 60, std::max(1.0, quota / 3)},
              options_.public_per_minute, 60, "this address", headers);
}

Async<> Limiter::Take(std::string key, const char* policy, redis::BucketLimit limit, int quota, int window_seconds,
                      std::string who, Headers& headers) {
  auto executor = co_await asio::this_coro::executor;
  redis::Bucket* bucket = BucketOf(executor);
  if (!bucket) co_return absl::InternalError("a request on a loop without a rate limiter");
  redis::BucketAnswer answer = co_await bucket->Take(std::move(key), limit);
  headers.emplace_back("RateLimit-Policy", absl::StrCat("\"", policy, "\";q=", quota, ";w=", window_seconds));
  auto retry = std::max<int64_t>(answer.retry_after.count(), 1);
  headers.emplace_back("RateLimit", absl::StrCat("\"", policy, "\";r=",
                                                 static_cast<int64_t>(std::max(0.0, std::floor(answer.remaining))),
                                                 ";t=", answer.allowed ? window_seconds : (retry + 999) / 1000));
  if (answer.allowed) co_return absl::OkStatus();
  absl::Status status =
      Error(absl::StatusCode::kResourceExhausted, type::v1::ERROR_REASON_RATE_LIMITED,
            absl::StrCat(who, " has sent more requests than allowed: wait as long as Retry-After says"));
  SetRetryDelay(status, std::chrono::milliseconds(retry));
  co_return status;
}

std::string LimitedAddress(const std::string& address) {
  boost::system::error_code error;
  auto parsed = asio::ip::make_address(address, error);
  if (error || !parsed.is_v6() || parsed.to_v6().is_v4_mapped()) return address;
  auto bytes = parsed.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return asio::ip::make_address_v6(bytes).to_string() + "/64";
}

}  // namespace crm::gateway
