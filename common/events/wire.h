// How events lie in Redis: 16 streams per service, one entry per event, the event's bytes with its number in front.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>

#include "common/base/id.h"

namespace crm::events {

// Tenants are split by bucket (last byte of the uuid) into 256 queues, and these into 16 shards: one stream in Redis
// and one share of a replica each. A reader names each stream in every XREAD, and Redis looks each one up: 16 x 6
// services are cheap, 256 x 6 are not; one stream would make each replica read what its neighbours apply. More than 16
// replicas of one consumer have nothing to do.
inline constexpr int kShards = 16;
inline int ShardOf(const Uuid& tenant) { return tenant.bucket() % kShards; }

// "events:contact:3"
std::string StreamName(absl::string_view service, int shard);

// About how many events one stream keeps. Who falls behind further asks the producer.
inline constexpr int kStreamLengthMax = 10'000;

// The event with its number. The outbox stores it unnumbered (seq 0 takes no bytes), so that numbering does not parse:
// field 1 is put in front.
std::string WithSeq(absl::string_view event, uint64_t seq);

// What is needed to sort an event by lane, without parsing the rest.
struct EventKey {
  uint64_t seq = 0;
  Uuid tenant;
};
absl::StatusOr<EventKey> KeyOf(absl::string_view event);

}  // namespace crm::events
