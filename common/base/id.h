// Ids: UUIDv7 (RFC 9562) inside, TypeIDs (github.com/jetify-com/typeid, spec 0.3) outside: "contact_01h455vb4pex5vsknk084sn02q".
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace crm {

struct Uuid {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const Uuid&) const = default;
  bool IsNil() const { return *this == Uuid{}; }
  std::string ToString() const;  // 01890a5d-ac96-774b-bcce-b302099a8057
  static absl::StatusOr<Uuid> Parse(absl::string_view text);
  uint8_t bucket() const { return bytes[15]; }  // what queue-like tables are split by

  template <typename H>
  friend H AbslHashValue(H h, const Uuid& u) {
    return H::combine(std::move(h), u.bytes);
  }
};

// A new, time-ordered, random id (RFC 9562 version 7). Thread-safe.
Uuid NewUuid(absl::Time now);

// A name-based id (RFC 9562 version 8, SHA-256 of source and step): repeating the step gives the same id.
Uuid DerivedUuid(const Uuid& source, absl::string_view step);
// The same among the new ids of its time, as NewUuid's are (milliseconds first): rows that come by the million fill an index from one
// end, instead of changing a page each anywhere in it. `at` repeats with the step, too.
Uuid DerivedUuid(const Uuid& source, absl::string_view step, absl::Time at);

// "contact" + uuid -> TypeID text.
std::string TypeId(absl::string_view prefix, const Uuid& uuid);
inline std::string NewId(absl::string_view prefix, absl::Time now) { return TypeId(prefix, NewUuid(now)); }
// The id of what a step makes out of `source_id`, e.g. DerivedId("contact", lead.id(), "accept").
std::string DerivedId(absl::string_view prefix, absl::string_view source_id, absl::string_view step);
std::string DerivedId(absl::string_view prefix, absl::string_view source_id, absl::string_view step, absl::Time at);

struct ParsedId {
  std::string prefix;
  Uuid uuid;
};
// Reads any TypeID; refuses what the specification refuses (uppercase, overflow, bad prefix).
absl::StatusOr<ParsedId> ParseId(absl::string_view text);

// Reads a TypeID of one kind. The error names `field` and the prefix that was expected.
absl::StatusOr<Uuid> ParseId(absl::string_view text, absl::string_view prefix, absl::string_view field);

}  // namespace crm
