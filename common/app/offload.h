// One bounded pool for work that blocks: password hashing, libcurl, COPY, PDF.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>

#include "common/base/async.h"
#include "common/obs/metrics.h"

namespace crm::app {

class OffloadPool {
 public:
  // Works waiting or running: beyond it the caller is told at once instead of waiting for what will be late anyway.
  static constexpr int kPendingMax = 256;

  explicit OffloadPool(int threads);
  ~OffloadPool();

  // Runs `work` on the pool and resumes on the caller's loop. UNAVAILABLE with OVERLOADED when the pool is full;
  // INTERNAL if the work throws. What `work` refers to must live until it has run, even if the caller is cancelled.
  Async<> Run(std::function<void()> work);

 private:
  std::atomic<int> pending_{0};
  obs::Gauge pending_gauge_;
  obs::Histogram wait_;
  asio::thread_pool pool_;
};

}  // namespace crm::app
