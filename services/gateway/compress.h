// gzip for answers (RFC 1952), where the client takes it.
#pragma once

#include <string>
#include <string_view>

namespace crm::gateway {

// Smaller answers fit into a packet anyway.
inline constexpr size_t kCompressFrom = 1024;

// True if Accept-Encoding takes gzip (RFC 9110, 12.5.3).
bool AcceptsGzip(std::string_view accept_encoding);

// The text compressed; empty if it cannot be or would not be smaller.
std::string Gzip(std::string_view text);

}  // namespace crm::gateway
