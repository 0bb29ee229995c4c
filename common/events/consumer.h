// Hearing other services' events: each takes effect exactly once, in order within its tenant, whatever crashes.
//
//   void Register(events::Consumer& consumer, Analytics& app) {
//     consumer.On<deal_pipeline::v1::DealMoved>([&app](const events::Heard& heard, const auto& moved, pg::Batch& batch)
//     -> Async<> {
//       ...reads if needed, then batch.Add(...);  co_return absl::OkStatus();
//     });
//   }
//
// The position's own guarded UPDATE sits in the same batch: a number seen is dropped, a number skipped is fetched from
// the producer over gRPC (EventLog.ListEvents). Streams in Redis only make it fast; every 5 s and after any Redis error
// the producers are asked for their heads. A failing event is tried 5 times (an error or a crash counts), then goes to
// dead_letter and parks later events of the same record; the lane goes on. An outage (UNAVAILABLE) is no event's fault:
// the lane waits and tries again.
//
// An effect may be run several times before it commits once, so it changes nothing but its batch. While a tenant is
// behind, up to 64 effects commit together; one that reads begins a transaction of its own, so that it sees what went
// before.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/pg/db.h"
#include "common/rpc/client.h"
#include "crm/events/v1/event.pb.h"

namespace crm::events {

// One heard event with a Call of its own: the tenant's, as the service, at the event's time.
struct Heard {
  const Call& call;
  const v1::Event& event;
};

class Consumer {
 public:
  virtual ~Consumer() = default;

  // An effect of one payload type. It fills the batch; the batch commits together with the position. Events without a
  // handler only move the position. Several effects of one type run in the order in which they were registered, into the
  // same batch; the first error undoes all of it.
  template <typename Payload>
  void On(std::function<Async<>(const Heard&, const Payload&, pg::Batch&)> effect) {
    Add(Payload::descriptor()->full_name(),
        [effect = std::move(effect)](const Heard& heard, pg::Batch& batch) -> Async<> {
          Payload payload;
          if (!heard.event.payload().UnpackTo(&payload))
            co_return absl::DataLossError("the event's payload cannot be read");
          co_return co_await effect(heard, payload, batch);
        });
  }
  // The same for a payload type known by its name alone ("crm.contact.v1.ContactCreated"); the effect unpacks.
  using Effect = std::function<Async<>(const Heard&, pg::Batch&)>;
  void OnType(std::string payload_type, Effect effect) { Add(std::move(payload_type), std::move(effect)); }
  // Called after an effect has committed, on the loop; for in-process caches and live streams. Never for correctness.
  virtual void AfterCommit(std::function<void(const v1::Event&)> listener) = 0;

 protected:
  virtual void Add(std::string payload_type, Effect effect) = 0;
};

}  // namespace crm::events
