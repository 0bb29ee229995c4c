// Answers worth keeping for a while. A miss and a Redis that is away look the same: compute it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/redis/client.h"

namespace crm::redis {

class Cache {
 public:
  // Keys are "cache:<name>:<key>".
  Cache(Client& client, std::string name) : client_(client), prefix_("cache:" + std::move(name) + ":") {}

  asio::awaitable<std::optional<std::string>> Get(std::string key);
  asio::awaitable<void> Set(std::string key, std::string value, std::chrono::milliseconds ttl);
  // Best effort: what must not be read stale carries a version in its key instead.
  asio::awaitable<void> Forget(std::string key);

 private:
  Client& client_;
  std::string prefix_;
};

}  // namespace crm::redis
