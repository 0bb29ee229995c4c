// The processes of a simulation and the lines between them and the servers: how long things take, who is dead, who stands still.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "tests/unit/simulator/machine.h"

namespace crm::sim {

using Steady = std::chrono::steady_clock::time_point;

// One process from its start to its end. Its death is this: nothing that it does from then on reaches anybody, and nothing reaches it.
struct Life {
  int number = 0;  // in the order of their starts; as text the "conninfo" of its databases and the "host" of its Redis
  std::string holder;
  bool alive = true;
  Steady stands_until{};  // SIGSTOP
};

struct Weather {
  int slow_in = 0;        // one of so many messages is slow; 0: none
  int slow_ms = 300;      // up to
  int lost_in = 0;        // one of so many answers of the database is lost with its connection
  int unsent_in = 0;      // one of so many batches does not reach the database
  int redis_lost_in = 0;  // one of so many events does not reach Redis
  int redis_twice_in = 0;
  int redis_shuffle_ms = 0;  // how late an event may come to Redis
  int rpc_fails_in = 0;
};

class Network {
 public:
  Network(asio::any_io_executor executor, Random& random) : executor_(std::move(executor)), random_(random) {}

  Weather weather;
  std::function<void(const std::string&)> note;  // set while somebody listens

  std::shared_ptr<Life> Start(const std::string& holder) {
    auto life = std::make_shared<Life>();
    life->number = static_cast<int>(lives_.size());
    life->holder = holder;
    lives_.push_back(life);
    return life;
  }
  Life& LifeOf(const std::string& number) { return *lives_.at(static_cast<size_t>(std::stoi(number))); }
  const std::vector<std::shared_ptr<Life>>& lives() const { return lives_; }

  int Below(int limit) { return limit <= 1 ? 0 : static_cast<int>(random_() % static_cast<unsigned>(limit)); }
  int Between(int low, int high) { return low + Below(high - low + 1); }
  bool OneIn(int count) { return count > 0 && Below(count) == 0; }

  asio::awaitable<void> Sleep(Millis time) {
    asio::steady_timer timer(executor_, time);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  // One way between a process and a server. A process that stands still neither sends nor hears.
  asio::awaitable<void> Travel(Life& life) {
    Millis time(Below(3));
    if (OneIn(weather.slow_in)) time = Millis(Between(1, weather.slow_ms));
    if (time.count() > 0) co_await Sleep(time);
    while (life.alive && std::chrono::steady_clock::now() < life.stands_until) {
      co_await Sleep(std::chrono::ceil<Millis>(life.stands_until - std::chrono::steady_clock::now()));
    }
  }

  const asio::any_io_executor& executor() const { return executor_; }

 private:
  asio::any_io_executor executor_;
  Random& random_;
  std::vector<std::shared_ptr<Life>> lives_;
};

}  // namespace crm::sim
