// Redis as far as streams use it: XADD, XREVRANGE ... COUNT 1 and XREAD. Events get lost on their way to it, come twice and late; it
// forgets everything, and it goes away.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/redis/model.h"
#include "tests/unit/simulator/network.h"

namespace crm::sim {

class Redis final : public redis::Model {
 public:
  explicit Redis(Network& network) : network_(network) {}

  std::shared_ptr<redis::ModelConnection> Open(const redis::Options& options, asio::any_io_executor executor) override;

  void Empty() { streams_.clear(); }
  void Wake() {
    for (asio::steady_timer* bell : waiting_) bell->cancel();
  }
  // Its connections are lost; with `forget` its data, too.
  void Away(Millis time, bool forget) {
    away_until_ = std::chrono::steady_clock::now() + time;
    ++epoch_;
    if (forget) Empty();
    Wake();
  }
  bool up() const { return std::chrono::steady_clock::now() >= away_until_; }

 private:
  friend class RedisConnection;
  struct Entry {
    std::pair<int64_t, int64_t> id;  // milliseconds, number within
    std::string body;
  };
  void Add(const std::string& stream, const std::string& body);
  redis::Reply Newest(const std::string& stream) const;
  redis::Reply After(const std::vector<std::string>& args, bool* any) const;

  Network& network_;
  std::map<std::string, std::vector<Entry>> streams_;
  std::vector<asio::steady_timer*> waiting_;  // of readers, in the order in which they came
  std::pair<int64_t, int64_t> last_{};
  Steady away_until_{};
  uint64_t epoch_ = 1;
};

}  // namespace crm::sim
