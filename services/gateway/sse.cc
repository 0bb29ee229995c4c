#include "services/gateway/sse.h"

#include "common/base/clock.h"
#include "common/base/status.h"
#include "services/gateway/http_error.h"

namespace crm::gateway {

std::string SseEvent(std::string_view id, std::string_view event, std::string_view data) {
  std::string out;
  out.reserve(id.size() + event.size() + data.size() + 32);
  if (!id.empty()) out.append("id: ").append(id).append("\n");
  if (!event.empty()) out.append("event: ").append(event).append("\n");
  out.append("data: ").append(data).append("\n\n");
  return out;
}

std::string SseError(const absl::Status& status, std::string_view request_id) {
  return SseEvent("", "error", ErrorJson(status, request_id));
}

HttpResponse SseResponse() {
  HttpResponse response;
  response.content_type = "text/event-stream; charset=utf-8";
  response.Set("Cache-Control", "no-store");
  response.Set("X-Accel-Buffering", "no");
  return response;
}

Async<> Recheck::IfDue() {
  auto now = std::chrono::steady_clock::now();
  if (now < due_) co_return absl::OkStatus();
  due_ = now + kRecheck;
  call_.start = Now();
  call_.deadline = now + std::chrono::seconds(5);
  auto renewed = co_await callers_.Renew(caller_, call_);
  if (renewed.ok()) {
    caller_ = *std::move(renewed);
    co_return absl::OkStatus();
  }
  if (renewed.status().code() == absl::StatusCode::kUnavailable ||
      renewed.status().code() == absl::StatusCode::kDeadlineExceeded) {
    co_return absl::OkStatus();
  }
  co_return renewed.status();
}

}  // namespace crm::gateway
