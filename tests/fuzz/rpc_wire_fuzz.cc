// covers: services/gateway/wire.cc#TypeOf,Lists,WrongType,UnknownPacking,OnlyMessage,FromBase64,FromText,IsWirePath,GuessWire,ReadWire,ReadWireTimeout,ReadWireRequest,ConnectError,Trailers,End,WireError services/gateway/compress.cc
// Connect and gRPC-Web: requests in any of their forms are read or refused in that form, and refusals are JSON or
// trailers that can be read.
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>

#include <nlohmann/json.hpp>

#include "services/gateway/compress.h"
#include "services/gateway/wire.h"
#include "tests/fuzz/gateway_api.h"

CRM_FUZZ(rpc_wire) {
  using namespace crm;
  using Form = gateway::Wire::Form;
  constexpr size_t kBodyMax = 64 << 10;
  const gateway::Api& api = fuzz::SomeApi();
  const gateway::HttpRequest request = fuzz::RequestOf(input);
  if (!gateway::IsWirePath(request.path)) return;
  const gateway::RpcRoute* route = api.FindRpc(request.path);
  unsigned http_status = 0;
  const auto wire = gateway::ReadWire(request, route, http_status);
  absl::Status status = wire.status();
  if (wire.ok()) {
    const auto timeout = gateway::ReadWireTimeout(*wire, request);
    if (timeout.ok()) {
      fuzz::Require(!*timeout || (*timeout)->count() >= 0, "nobody waits for the past");
    } else {
      fuzz::RequireRefusal(timeout.status());
    }
    const auto bytes = gateway::ReadWireRequest(*wire, *route, request, kBodyMax);
    status = bytes.status();
    // JSON was read into a message; binary bytes are the service's to read.
    if (bytes.ok() && wire->json) {
      fuzz::Require(api.writer().Write(route->method->input_type(), *bytes).ok(), "what was read is the rpc's message");
    }
  }
  if (status.ok()) return;
  fuzz::RequireRefusal(status);
  const gateway::Wire form = wire.ok() ? *wire : gateway::GuessWire(request);
  const gateway::HttpResponse told = gateway::WireError(form, status, "req_1", http_status);
  if (form.form == Form::kConnect || (form.form == Form::kConnectStream && http_status != 0)) {
    fuzz::Require(told.status >= 400, "Connect tells errors by their status, also that there is no such stream");
    fuzz::Require(nlohmann::json::accept(told.body), "Connect tells errors as JSON", told.body);
    return;
  }
  fuzz::Require(told.status == 200, "streams and gRPC-Web tell errors at their end");
  std::string end = told.body;
  if (form.form == Form::kGrpcWebText)
    fuzz::Require(absl::Base64Unescape(told.body, &end), "text is base64", told.body);
  if (form.form != Form::kConnectStream && end.empty()) return;  // in the headers
  fuzz::Require(end.size() >= 5, "the end is an envelope");
  const absl::string_view inside = absl::string_view(end).substr(5);
  fuzz::Require(form.grpc_web() ? absl::StartsWith(inside, "grpc-status: ") : nlohmann::json::accept(inside),
                "the end can be read", inside);
}
