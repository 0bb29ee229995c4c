#include "common/redis/cache.h"

#include <utility>

namespace crm::redis {

asio::awaitable<std::optional<std::string>> Cache::Get(std::string key) {
  absl::StatusOr<Reply> reply = co_await client_.Command(Args("GET", prefix_ + key));
  if (!reply.ok() || reply->IsNil()) co_return std::nullopt;
  co_return std::move(reply->text);
}

asio::awaitable<void> Cache::Set(std::string key, std::string value, std::chrono::milliseconds ttl) {
  (void)co_await client_.Command(Args("SET", prefix_ + key, value, "PX", ttl.count()));
}

asio::awaitable<void> Cache::Forget(std::string key) { (void)co_await client_.Command(Args("UNLINK", prefix_ + key)); }

}  // namespace crm::redis
