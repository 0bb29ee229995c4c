// The running side of consumer.h: one service hearing one producer. common/app makes one per Runtime::Hear.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/events/consumer.h"
#include "common/events/wire.h"
#include "common/pg/db.h"
#include "common/redis/client.h"
#include "common/rpc/client.h"

namespace crm::events {

// Where events come from when Redis has not brought them: the producer.
class Source {
 public:
  virtual ~Source() = default;
  virtual Async<v1::ListEventsResponse> ListEvents(const Call& call, const v1::ListEventsRequest& request) = 0;
  virtual Async<v1::ListHeadsResponse> ListHeads(const Call& call, const v1::ListHeadsRequest& request) = 0;
};

// The producer's EventLog over gRPC. `client` outlives it.
std::unique_ptr<Source> MakeRpcSource(rpc::Client& client);

struct ConsumerOptions {
  std::string service;   // who hears: "analytics"
  std::string producer;  // who is heard: "deal_pipeline"
  // This process among its replicas, the same after a restart ("host:port"), so that it finds its share again at once
  // instead of waiting for its own old lease to end. Empty: made up.
  std::string holder;
  std::chrono::milliseconds heads_every{5000};  // how soon a lost tail shows
  std::chrono::milliseconds lease{10000};       // how long a silent replica keeps its share
  std::chrono::milliseconds gap_patience{30};   // how long a skipped number may still come by stream
  // How long a lane that had nothing to do waits for more of what its relay numbered at once. Redis hands over a dozen events at a
  // time, and each transaction costs as much as several effects.
  std::chrono::milliseconds gather{3};
  int lanes_at_once = 8;                     // tenants applied at the same time
  int group_max = 64;                        // effects in one transaction while catching up
  int attempts_max = 5;                      // then the event goes to dead_letter
  std::chrono::milliseconds retry_min{100};  // doubled per attempt
  // Commits without waiting for the disk: effect and position are lost together and applied again. For projections.
  bool asynchronous_commit = false;
};

class Subscription : public Consumer {
 public:
  // Runs on the caller's loop until Stop, or until the coroutine is cancelled; groups in hand are finished first.
  virtual Async<> Run() = 0;
  virtual void Stop() = 0;

  virtual const std::string& producer() const = 0;

  // Applies a dead letter of the call's tenant, then the parked events of its record in order, up to the first that
  // fails: that one is then the record's dead letter. FAILED_PRECONDITION with the effect's error when the letter
  // itself fails, or when an earlier letter of its record must go first. Runs on any loop.
  virtual Async<v1::DeadLetter> Replay(const Call& call, uint64_t seq) = 0;

  // Looks at the producer's heads now rather than at the next check. Any thread.
  virtual void CheckHeads() = 0;
};

// `db` logs in as the service's handlers, `worker_db` as <service>_worker. All references outlive the subscription.
std::unique_ptr<Subscription> MakeConsumer(pg::Db& db, pg::Db& worker_db, redis::Client& redis,
                                           std::unique_ptr<Source> source, ConsumerOptions options);

}  // namespace crm::events
