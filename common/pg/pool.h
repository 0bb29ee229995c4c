// The connections of one event loop for one kind of work: opened when needed, kept, the least loaded first. What does
// not fit waits in a bounded line; what does not fit there is refused at once, so that overload stays short.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <vector>

#include "common/base/async.h"
#include "common/obs/metrics.h"
#include "common/pg/connection.h"

namespace crm::pg {

struct PoolOptions {
  ConnectOptions connect;
  int connections = 2;
  int depth = 16;        // batches in flight on one connection
  int queue_max = 1024;  // batches waiting
  const char* work = "point";
};

class Pool {
 public:
  Pool(asio::any_io_executor executor, PoolOptions options);
  ~Pool();
  Pool(const Pool&) = delete;

  // Waits until the flight has an outcome: it is sent as soon as a connection has room. With flight->exclusive a
  // connection of its own is answered in flight->lease, to be given back by Release.
  asio::awaitable<void> Run(const FlightPtr& flight);
  // Waits for a flight on a leased connection; kLost if that has been made anew since `epoch`.
  asio::awaitable<void> RunOn(const std::shared_ptr<Connection>& connection, uint64_t epoch, const FlightPtr& flight);
  void Release(const std::shared_ptr<Connection>& connection);

  const asio::any_io_executor& executor() const { return executor_; }

 private:
  void Start(const FlightPtr& flight);
  void Refuse(Flight& flight, absl::Status status);
  void Pump();
  Connection* Choose(bool exclusive);
  void MaybeOpen();
  void Arm(SteadyTime deadline);
  void OnTimer();

  asio::any_io_executor executor_;
  PoolOptions options_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::deque<FlightPtr> queue_;
  asio::steady_timer timer_;
  SteadyTime armed_ = SteadyTime::max();
  bool pumping_ = false;
  bool again_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  obs::Histogram wait_seconds_;
  obs::Counter refused_;
};

}  // namespace crm::pg
