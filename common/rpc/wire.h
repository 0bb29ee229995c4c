// gRPC's protocol over HTTP/2 (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), as far as both sides share it:
// statuses, messages, deadlines. Not for others than common/rpc.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/rpc/metadata.h"

namespace crm::rpc::wire {

// Headers and trailers of one call; the usual 8 KiB are too little for a long token or 50 field violations.
inline constexpr int kMetadataBytesMax = 64 << 10;
// Of that, an error's details; the text is cut at a quarter of it.
inline constexpr size_t kErrorBytesMax = 24 << 10;
// Before each message: whether it is compressed, and its length.
inline constexpr size_t kPrefixBytes = 5;
// What a stream may send before it is read, and all of a connection's streams together.
inline constexpr int32_t kStreamWindow = 256 << 10;
inline constexpr int32_t kLinkWindow = 4 << 20;

// protobuf's own messages go to our log; what costs time in libraries and is of no use to us is off.
void RouteLog();

// An answer's trailers.
struct WireStatus {
  int code = 0;         // grpc-status
  std::string text;     // grpc-message, UTF-8
  std::string details;  // grpc-status-details-bin: a google.rpc.Status
};
// Payloads whose key is no type URL stay at home.
WireStatus ToWire(const absl::Status& status);
absl::Status FromWire(const WireStatus& status);

// grpc-message's form of percent-encoding.
std::string PercentEncoded(absl::string_view text);
std::string PercentDecoded(absl::string_view text);

// grpc-timeout: "250m". Nothing for what is none.
std::optional<std::chrono::nanoseconds> ParseTimeout(absl::string_view text);
std::string TimeoutText(std::chrono::nanoseconds left);  // rounded up

// Writes the prefix of a message of that size.
void PutPrefix(char* at, size_t size);
// The length that a prefix announces.
inline uint32_t LengthOf(const char* at) {
  const auto* p = reinterpret_cast<const unsigned char*>(at);
  return static_cast<uint32_t>(p[1]) << 24 | static_cast<uint32_t>(p[2]) << 16 | static_cast<uint32_t>(p[3]) << 8 |
         p[4];
}

}  // namespace crm::rpc::wire
