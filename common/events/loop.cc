#include "common/events/loop.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/obs/trace.h"

namespace crm::events {

std::string Brief(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

std::string NewHolder() {
  char host[256] = "host";
  gethostname(host, sizeof host - 1);
  return absl::StrCat(host, ":", getpid(), ":", NewUuid(Now()).ToString().substr(24));
}

Call OwnCall(const std::string& service, const std::string& method, const Uuid& tenant,
             std::chrono::milliseconds timeout) {
  Call call;
  call.principal.kind = Principal::Kind::kService;
  call.principal.tenant = tenant;
  call.principal.user_id = absl::StrCat("service_", service);
  call.method = method;
  call.traceparent = obs::NewTraceparent();
  call.request_id = std::string(obs::TraceIdOf(call.traceparent));
  call.deadline = std::chrono::steady_clock::now() + timeout;
  call.start = Now();
  return call;
}

}  // namespace crm::events
