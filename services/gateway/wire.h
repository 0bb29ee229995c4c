// The forms that rpcs have over HTTP/1.1 beside REST, at "/crm.contact.v1.ContactService/GetContact":
//
//   Connect      unary by POST, reads also by GET, server streams (connectrpc.com/docs/protocol)
//   gRPC-Web     unary and server streams, binary and as base64 text (grpc/grpc, doc/PROTOCOL-WEB.md)
//
// Messages are binary or JSON in both: JSON is written as everywhere here (snake_case), and read with camelCase names
// too, as generated clients send them. Nothing here is written per rpc.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>

#include "services/gateway/api.h"
#include "services/gateway/http.h"
#include "services/gateway/pipe.h"

namespace crm::gateway {

struct Wire {
  enum class Form { kConnect, kConnectStream, kGrpcWeb, kGrpcWebText };
  Form form = Form::kConnect;
  bool json = true;
  bool get = false;     // Connect's GET: the message stands in the address
  bool packed = false;  // the request's messages may be gzip
  bool gzip = false;    // the client takes gzip per message
  std::string subtype;  // "+proto", as the client called it

  bool grpc_web() const { return form == Form::kGrpcWeb || form == Form::kGrpcWebText; }
};

// True for paths of rpcs, whether there is one or not: what is wrong there is told as these forms tell it.
bool IsWirePath(std::string_view path);

// Which form a request has, by its method and Content-Type alone: enough to tell it an error.
Wire GuessWire(const HttpRequest& request);

// Which form it has. Else an error, with the HTTP status for it (404, 405, 415) where the error's own does not say
// enough. `route` may be null.
absl::StatusOr<Wire> ReadWire(const HttpRequest& request, const RpcRoute* route, unsigned& http_status);

// How long the client waits: Connect-Timeout-Ms, grpc-timeout. None: it does not say.
absl::StatusOr<std::optional<std::chrono::milliseconds>> ReadWireTimeout(const Wire& wire, const HttpRequest& request);

// The rpc's message on the wire.
absl::StatusOr<std::string> ReadWireRequest(const Wire& wire, const RpcRoute& route, const HttpRequest& request,
                                            size_t bytes_max);

// The answer of a unary call.
absl::StatusOr<HttpResponse> WireAnswer(const Wire& wire, const Api& api, const RpcRoute& route,
                                        const std::string& bytes);
// A stream's headers and form; the caller adds what runs it.
HttpResponse WireStreamResponse(const Wire& wire);
StreamForm WireStreamForm(const Wire& wire, const Api& api, const RpcRoute& route, std::string request_id);

// An error: the same status and details as on every surface. `http_status` 0: the error's own.
HttpResponse WireError(const Wire& wire, const absl::Status& status, std::string_view request_id,
                       unsigned http_status = 0);

}  // namespace crm::gateway
