// A model of Redis in its place, for simulations (common/pg/model.h).
#pragma once

#include "common/redis/client.h"

namespace crm::redis {

// One connection to the model.
class ModelConnection {
 public:
  virtual ~ModelConnection() = default;
  virtual Async<Reply> Command(Args args, std::chrono::milliseconds timeout) = 0;
  // As Connection's.
  virtual void Send(Args args, std::function<void(const absl::Status&)> failed) = 0;
  virtual uint64_t connects() const = 0;
  virtual void Close() = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual std::shared_ptr<ModelConnection> Open(const Options& options, asio::any_io_executor executor) = 0;
};

// What every Connection made from now on speaks to; nullptr: Redis. Compiled in with the failpoints.
void UseModel(Model* model);

}  // namespace crm::redis
