// The tiny HTTP listener for operators: /metrics (Prometheus), /livez, /readyz. Plain HTTP, inside only.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <memory>
#include <string>

#include "common/app/config.h"
#include "common/app/offload.h"
#include "common/base/async.h"

namespace crm::app {

struct InspectOptions {
  Address listen;
  // Each answers "" for yes, or why not.
  std::function<std::string()> live, ready;
};

class Inspect {
 public:
  // Connections at once; more are closed unanswered. Scrapers and probes need two or three.
  static constexpr int kConnectionsMax = 32;

  Inspect(InspectOptions options, asio::any_io_executor loop, OffloadPool& pool);
  ~Inspect();

  absl::Status Start();
  int port() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::app
