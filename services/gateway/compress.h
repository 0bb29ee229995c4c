// gzip (RFC 1952): for answers, where the client takes it, and for requests.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace crm::gateway {

// Smaller answers fit into a packet anyway.
inline constexpr size_t kCompressFrom = 1024;

// True if Accept-Encoding takes gzip (RFC 9110, 12.5.3).
bool AcceptsGzip(std::string_view accept_encoding);

// The text compressed; empty if it cannot be or would not be smaller.
std::string Gzip(std::string_view text);

// What was compressed. BODY_INVALID if it is no gzip, TOO_LARGE once it grows beyond `bytes_max`.
absl::StatusOr<std::string> Gunzip(std::string_view text, size_t bytes_max);

}  // namespace crm::gateway
