// covers: services/gateway/transcode.cc services/gateway/router.cc
// HTTP requests -> the rpc's message: a request that is read is one that its proto has; what does not fit is refused by
// its field.
#include <memory>

#include "services/gateway/http_error.h"
#include "services/gateway/transcode.h"
#include "tests/fuzz/gateway_api.h"

CRM_FUZZ(transcode) {
  using namespace crm;
  const gateway::Api& api = fuzz::SomeApi();
  const gateway::HttpRequest request = fuzz::RequestOf(input);
  const auto found = api.Find(request.method, request.path);
  const auto allowed = api.AllowedMethods(request.path);
  if (!found.ok()) {
    fuzz::RequireRefusal(found.status());
    return;
  }
  fuzz::Require(std::find(allowed.begin(), allowed.end(), request.method) != allowed.end(),
                "a method that is served is allowed", request.path);
  Call call;
  if (const absl::Status headers = gateway::ReadCallHeaders(request, call); !headers.ok()) {
    fuzz::Require(!ViolationsOf(headers).empty(), "the error names its header", headers.message());
    fuzz::RequireRefusal(headers);
  } else {
    fuzz::Require(call.deadline <= request.start + gateway::kTimeoutMax, "nobody gets more time than there is");
  }
  if (found->rpc == nullptr) return;
  unsigned http_status = 0;
  const auto read = gateway::ReadRequest(*found->rpc, found->match, request, 64 << 10, http_status);
  if (!read.ok()) {
    fuzz::RequireRefusal(read.status());
    const unsigned told = http_status != 0 ? http_status : gateway::HttpStatus(read.status());
    fuzz::Require(told >= 400 && told < 500, "a bad request is the caller's fault", read.status().message());
    return;
  }
  const auto json = api.writer().Write(found->rpc->method->input_type(), read->bytes);
  fuzz::Require(json.ok(), "what was read is a message of the rpc", json.status().message());
}
