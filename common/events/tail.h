// The newest events of several services as they are published, from now on: what the gateway's live streams hang on. No
// database, no position: who must not miss anything catches up over EventLog.ListEvents when told of a gap.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/events/wire.h"
#include "common/redis/client.h"

namespace crm::events {

struct TailOptions {
  std::vector<std::string> services;       // "contact", "deal_pipeline"
  std::optional<std::vector<int>> shards;  // of kShards; absent means all
};

class Tail {
 public:
  // The event's bytes (crm.events.v1.Event with its seq; KeyOf reads tenant and seq without parsing the rest).
  using OnEvent = std::function<void(const std::string& service, std::string event)>;
  // Events may have been missed since the last OnEvent: Redis was away, or was emptied. Called once the tail listens
  // again, so that catching up now and going on with OnEvent leaves no hole. Also called once when the tail begins.
  using OnGap = std::function<void()>;

  Tail(redis::Client& redis, TailOptions options);
  ~Tail();

  // Runs on the caller's loop, where it calls back, until Stop or until the coroutine is cancelled.
  Async<> Run(OnEvent on_event, OnGap on_gap);

  // The rest on the loop of Run only.
  void Stop();
  // Other shards from now on; answers by OnGap.
  void SetShards(std::vector<int> shards);
  // Finds the newest entries anew; answers by OnGap.
  void Reseek();
  // False while Redis is away.
  bool listening() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::events
