// covers: common/events/wire.cc
// The number and the tenant of an event, without parsing it: what the short way reads, protobuf reads, too.
#include <google/protobuf/stubs/logging.h>

#include "common/events/wire.h"
#include "crm/events/v1/event.pb.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(event_key) {
  using namespace crm;
  static const google::protobuf::LogSilencer quiet;
  const absl::string_view bytes = input.Rest();
  const auto key = events::KeyOf(bytes);
  if (!key.ok()) fuzz::RequireRefusal(key.status());
  events::v1::Event event;
  if (!event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto numbered = events::KeyOf(events::WithSeq(event.SerializeAsString(), 7));
  const auto tenant = ParseId(event.tenant_id(), "tenant", "tenant_id");
  fuzz::Require(numbered.ok() == tenant.ok(), "an event with a tenant has a key, and no other");
  if (!tenant.ok()) return;
  fuzz::Require(numbered->tenant == *tenant && numbered->seq == (event.seq() != 0 ? event.seq() : 7),
                "the key is the event's");
}
