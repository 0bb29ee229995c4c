#include "common/events/wire.h"

#include <absl/strings/str_cat.h>

#include <cstring>

#include "crm/events/v1/event.pb.h"

namespace crm::events {

namespace {

// Tags of crm.events.v1.Event in protobuf's wire format: field 1 as fixed64, field 2 as a string.
constexpr char kSeqTag = 0x09;
constexpr char kTenantTag = 0x12;

}  // namespace

std::string StreamName(absl::string_view service, int shard) { return absl::StrCat("events:", service, ":", shard); }

std::string WithSeq(absl::string_view event, uint64_t seq) {
  std::string out;
  out.reserve(event.size() + 9);
  out.push_back(kSeqTag);
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(seq >> (8 * i)));
  out.append(event.data(), event.size());
  return out;
}

absl::StatusOr<EventKey> KeyOf(absl::string_view event) {
  EventKey key;
  absl::string_view tenant;
  // As we write it ourselves; a TypeID is shorter than 128 bytes, so its length is one byte.
  if (event.size() > 11 && event[0] == kSeqTag && event[9] == kTenantTag && !(event[10] & 0x80) &&
      event.size() >= 11u + static_cast<uint8_t>(event[10])) {
    for (int i = 0; i < 8; ++i) key.seq |= static_cast<uint64_t>(static_cast<uint8_t>(event[1 + i])) << (8 * i);
    absl::StatusOr<Uuid> id = ParseId(event.substr(11, static_cast<uint8_t>(event[10])), "tenant", "tenant_id");
    if (!id.ok()) return id.status();
    key.tenant = *id;
  } else {
    v1::Event parsed;
    if (!parsed.ParseFromArray(event.data(), static_cast<int>(event.size()))) {
      return absl::DataLossError("these bytes are no event");
    }
    absl::StatusOr<Uuid> id = ParseId(parsed.tenant_id(), "tenant", "tenant_id");
    if (!id.ok()) return id.status();
    key = {parsed.seq(), *id};
  }
  if (key.seq == 0) return absl::DataLossError("the event has no number");
  return key;
}

}  // namespace crm::events
