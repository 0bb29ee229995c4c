// HTTP request -> the rpc's message, by descriptors alone (google/api/http.proto): path variables, query parameters,
// body, the mask of a PATCH, If-Match. What the message does not know is refused, never ignored.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <string>
#include <vector>

#include "common/base/call.h"
#include "services/gateway/api.h"
#include "services/gateway/http.h"

namespace crm::gateway {

struct RpcRequest {
  std::string bytes;                // the request message on the wire
  std::vector<std::string> expand;  // the names in `expand`, each once
};

// INVALID_ARGUMENT with the violations for whatever does not fit; sets `http_status` to 415 for a wrong content type.
absl::StatusOr<RpcRequest> ReadRequest(const RpcRoute& route, const RouteMatch& match, const HttpRequest& request,
                                       size_t body_bytes_max, unsigned& http_status);

// INVALID_ARGUMENT, with `http_status` 415, unless the body says that it is JSON in UTF-8.
absl::Status CheckJson(const HttpRequest& request, unsigned& http_status);

// What a caller gets at most, whatever it asks for; streams excepted.
inline constexpr auto kTimeoutMax = std::chrono::milliseconds(30'000);

// What the headers say of a call: Idempotency-Key, X-Timeout ("2.5", "2.5s", "500ms"; 10 s if absent, at most 30 s),
// Crm-Time-Zone, Accept-Language, traceparent, X-Request-Id.
absl::Status ReadCallHeaders(const HttpRequest& request, Call& call);

// The best of our languages for an Accept-Language (RFC 9110, 12.5.4); empty if none is asked for.
std::string PickLanguage(std::string_view accept_language);

}  // namespace crm::gateway
