// What server.cc and client.cc share: metadata names, statuses, TLS. The only header that shows grpcpp; not for others.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <string>

#include "common/rpc/metadata.h"

namespace crm::rpc::wire {

// Headers and trailers of one call; the default of 8 KiB is too little for a long token or 50 field violations.
inline constexpr int kMetadataBytesMax = 64 << 10;
// Of that, an error's details; the text is cut at a quarter of it.
inline constexpr size_t kErrorBytesMax = 24 << 10;

// gRPC's and protobuf's own messages go to our log; what costs time in them and is of no use to us is off.
void RouteLog();

// To and from the wire. Details travel as google.rpc.Status in grpc-status-details-bin; payloads whose key is no type
// URL stay at home.
grpc::Status ToWire(const absl::Status& status);
absl::Status FromWire(const grpc::Status& status);

grpc::ByteBuffer ToBuffer(absl::string_view bytes);
std::string ToString(const grpc::ByteBuffer& buffer);

// mTLS from files that are read again within 3 s when they change.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const std::string& ca_file, const std::string& cert_file,
                                                           const std::string& key_file);
// `peer`: see ClientOptions.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const std::string& ca_file, const std::string& cert_file,
                                                             const std::string& key_file, const std::string& peer);

}  // namespace crm::rpc::wire
