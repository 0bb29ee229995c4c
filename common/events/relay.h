// The relay of one service: numbers the outbox's events densely per tenant and publishes them.
//
// For each tenant with unnumbered rows: lock the tenant's lane row in a statement of its own, number the rows
// `WHERE seq IS NULL ORDER BY id`, commit, publish to Redis. The mark is on the row: there is no cursor to lose events
// by (where a run begins to look is remembered, but what lies below is found by the looks at all tenants). A second
// relay waits at the lane and then finds nothing to do. Numbering never waits for Redis: what is not published is found
// by the consumers' heads check.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/base/async.h"
#include "common/base/id.h"
#include "common/pg/db.h"
#include "common/redis/client.h"

namespace crm::events {

struct RelayOptions {
  std::string service;  // "contact"
  // This process among its replicas, the same after a restart ("host:port"), so that it finds its share again at once
  // instead of waiting for its own old lease to end. Empty: made up.
  std::string holder;
  std::chrono::milliseconds poll_min{500};  // without a poke, the outbox is looked at this often
  std::chrono::milliseconds poll_max{1000};
  // How long a poke waits for others, under load twice that: numbering costs a commit, so a busy tenant's events are
  // numbered some 25 times a second rather than one by one.
  std::chrono::milliseconds gather{20};
  int lanes_at_once = 4;  // tenants numbered at the same time
  int batch_max = 500;    // events numbered in one transaction
};

class Relay {
 public:
  // `worker_db` logs in as <service>_worker; two write connections suffice.
  Relay(pg::Db& worker_db, redis::Client& redis, RelayOptions options);
  ~Relay();

  // Runs on the caller's loop until Stop, or until the coroutine is cancelled; then what has begun is finished.
  Async<> Run();
  void Stop();

  // Says that something was committed, so that it need not wait for the next look. Any thread, any time.
  void Poke();
  void Poke(const Uuid& tenant);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace crm::events
