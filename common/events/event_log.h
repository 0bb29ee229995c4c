// What every service answers about its events (protos/crm/events/v1/event.proto, EventLog): the numbered ones that it
// wrote, for its consumers; and those of others that it could not apply, for its administrators.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/events/subscription.h"
#include "common/pg/db.h"
#include "common/rpc/service.h"
#include "crm/events/v1/event.pb.h"

namespace crm::events {

// As AwaitPositionRequest.seq: everything that the service itself has committed.
inline constexpr uint64_t kCommitted = UINT64_MAX;

class EventLog final : public rpc::Service {
 public:
  // `worker_db` answers ListHeads, which looks across tenants. `heard` are this service's subscriptions; all outlive
  // it. `poke`, if given, tells the relay that a tenant's events wait for their numbers.
  EventLog(pg::Db& db, pg::Db& worker_db, std::vector<Subscription*> heard,
           std::function<void(const Uuid& tenant)> poke = {})
      : rpc::Service("crm.events.v1.EventLog"),
        db_(db),
        worker_db_(worker_db),
        heard_(std::move(heard)),
        poke_(std::move(poke)) {}

  CRM_RPC(ListEvents, v1::ListEventsRequest, v1::ListEventsResponse)
  CRM_RPC(ListHeads, v1::ListHeadsRequest, v1::ListHeadsResponse)
  CRM_RPC(SettleLane, v1::SettleLaneRequest, v1::SettleLaneResponse)
  CRM_RPC(AwaitPosition, v1::AwaitPositionRequest, v1::AwaitPositionResponse)
  CRM_RPC(ListDeadLetters, v1::ListDeadLettersRequest, v1::ListDeadLettersResponse)
  CRM_RPC(ReplayDeadLetter, v1::ReplayDeadLetterRequest, v1::DeadLetter)

 private:
  pg::Db& db_;
  pg::Db& worker_db_;
  std::vector<Subscription*> heard_;
  const std::function<void(const Uuid& tenant)> poke_;
};

}  // namespace crm::events
