// The text forms of scalars that have no JSON type of their own, shared by writer, reader and query parameters.
#pragma once

#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>

namespace crm::json::text {

// What Timestamp and Duration hold (google/protobuf/timestamp.proto, duration.proto).
inline constexpr int64_t kTimestampSecondsMin = -62135596800;  // 0001-01-01T00:00:00Z
inline constexpr int64_t kTimestampSecondsMax = 253402300799;  // 9999-12-31T23:59:59Z
inline constexpr int64_t kDurationSecondsMax = 315576000000;   // about 10,000 years

struct SecondsNanos {
  int64_t seconds = 0;
  int32_t nanos = 0;
};

// RFC 3339; 0, 3, 6 or 9 digits after the point, in UTC. False, and nothing appended, out of range.
bool AppendTimestamp(int64_t seconds, int32_t nanos, std::string& out);
// RFC 3339 with any offset and at most 9 digits.
std::optional<SecondsNanos> ParseTimestamp(absl::string_view text);

// "3s", "-1.500s". False, and nothing appended, out of range or if the signs differ.
bool AppendDuration(int64_t seconds, int32_t nanos, std::string& out);
std::optional<SecondsNanos> ParseDuration(absl::string_view text);

// Text that reads back as the same number; exponents only below 1e-6 and from 1e21. False if not finite.
bool AppendNumber(double value, std::string& out);
bool AppendNumber(float value, std::string& out);

// Base64 in either alphabet, padded or not, without white space.
std::optional<std::string> ParseBase64(absl::string_view text);

// Whether it is UTF-8 without NUL: what PostgreSQL's text takes.
bool IsText(absl::string_view bytes);

// "a user's words" cut to what an error may quote.
std::string Quoted(absl::string_view bytes);

// firstName -> first_name
std::string SnakeCase(absl::string_view name);

}  // namespace crm::json::text
