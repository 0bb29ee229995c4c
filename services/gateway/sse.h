// Server-sent events (html.spec.whatwg.org, 9.2), and what keeps every stream honest: heartbeats, and a look at the
// caller's rights every few seconds.
#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <string>
#include <string_view>

#include "services/gateway/caller.h"
#include "services/gateway/http.h"

namespace crm::gateway {

// Proxies and browsers give up on silent connections after 30-60 s.
inline constexpr auto kHeartbeat = std::chrono::seconds(15);
// A revoked session is heard of within 2 s (rpc/access.h); with this it bites within 5.
inline constexpr auto kRecheck = std::chrono::milliseconds(2500);

// One event: `id` and `event` may be empty. `data` has no line breaks, as our JSON never has.
std::string SseEvent(std::string_view id, std::string_view event, std::string_view data);

// "event: error" with the AIP-193 body: the stream ends after it.
std::string SseError(const absl::Status& status, std::string_view request_id);

// A 200 with the headers of a stream.
HttpResponse SseResponse();

// Asks, at most every kRecheck, whether a stream's caller may still listen. UNAUTHENTICATED ends the stream; while
// rights cannot be looked up, what was known goes on to hold (the directory itself gives up after a while).
class Recheck {
 public:
  Recheck(Callers& callers, Caller caller, Call call)
      : callers_(callers), caller_(std::move(caller)), call_(std::move(call)) {}
  Async<> IfDue();
  const Caller& caller() const { return caller_; }
  std::chrono::steady_clock::time_point due() const { return due_; }

 private:
  Callers& callers_;
  Caller caller_;
  Call call_;
  std::chrono::steady_clock::time_point due_ = std::chrono::steady_clock::now() + kRecheck;
};

}  // namespace crm::gateway
