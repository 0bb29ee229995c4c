#include "services/gateway/http_error.h"

#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/json/json.h"

namespace crm::gateway {

unsigned HttpStatus(const absl::Status& status) {
  if (ReasonOf(status) == type::v1::ERROR_REASON_TOO_LARGE) return 413;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    default:  // absl reserves a value to keep switches open
      return 500;
  }
}

std::string_view CodeName(absl::StatusCode code) {
  static constexpr std::string_view kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

std::string ErrorJson(const absl::Status& status, std::string_view request_id, unsigned http_status) {
  std::string out =
      absl::StrCat("{\"error\":{\"code\":", http_status ? http_status : HttpStatus(status), ",\"status\":\"");
  out += CodeName(status.code());
  out += "\",\"message\":";
  json::AppendString(status.message(), out);
  out += ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":";
  Reason reason = ReasonOf(status);
  json::AppendString(
      reason == type::v1::ERROR_REASON_UNSPECIFIED ? std::string(CodeName(status.code())) : ReasonName(reason), out);
  out += ",\"domain\":\"crm\",\"metadata\":{";
  bool first = true;
  for (const auto& [key, value] : MetadataOf(status)) {
    if (!first) out += ',';
    first = false;
    json::AppendString(key, out);
    out += ':';
    json::AppendString(value, out);
  }
  out += "}}";
  auto violations = ViolationsOf(status);
  if (!violations.empty()) {
    out += ",{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\",\"field_violations\":[";
    for (size_t i = 0; i < violations.size(); ++i) {
      if (i) out += ',';
      out += "{\"field\":";
      json::AppendString(violations[i].field, out);
      out += ",\"description\":";
      json::AppendString(violations[i].description, out);
      out += '}';
    }
    out += "]}";
  }
  if (auto delay = RetryDelayOf(status)) {
    out += absl::StrCat(",{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retry_delay\":\"",
                        delay->count() / 1000.0, "s\"}");
  }
  if (!request_id.empty()) {
    out += ",{\"@type\":\"type.googleapis.com/google.rpc.RequestInfo\",\"request_id\":";
    json::AppendString(absl::string_view(request_id.data(), request_id.size()), out);
    out += '}';
  }
  out += "]}}";
  return out;
}

HttpResponse ErrorResponse(const absl::Status& status, std::string_view request_id, unsigned http_status) {
  HttpResponse response;
  response.status = http_status ? http_status : HttpStatus(status);
  response.body = ErrorJson(status, request_id, response.status);
  response.overloaded = ReasonOf(status) == type::v1::ERROR_REASON_OVERLOADED;
  if (auto delay = RetryDelayOf(status)) {
    // Whole seconds, rounded up (RFC 9110, 10.2.3).
    response.Set("Retry-After", absl::StrCat((delay->count() + 999) / 1000));
  }
  if (response.status == 401) response.Set("WWW-Authenticate", "Bearer realm=\"crm\"");
  response.Set("Cache-Control", "no-store");
  return response;
}

}  // namespace crm::gateway
