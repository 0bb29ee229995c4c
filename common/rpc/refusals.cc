#include "common/rpc/refusals.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_cat.h>

#include <chrono>
#include <string>

#include "common/base/error.h"
#include "common/rpc/server.h"

namespace crm::rpc::server_internal {

const char* CodeName(absl::StatusCode code) {
  static constexpr const char* kNames[kCodes] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const int i = static_cast<int>(code);
  return i >= 0 && i < kCodes ? kNames[i] : "UNKNOWN";
}

absl::Status Overloaded(std::chrono::milliseconds delay) {
  auto status = Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_OVERLOADED,
                      "The server has more work than it can do in time. Send the request again a little later.");
  SetRetryDelay(status, delay);
  return status;
}

absl::Status TooLarge() {
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
               absl::StrCat("The request is larger than ", kRequestBytesMax, " bytes. Send less at once."),
               {{"limit", absl::StrCat(kRequestBytesMax)}});
}

absl::Status DeadlineOver() {
  return Error(absl::StatusCode::kDeadlineExceeded, type::v1::ERROR_REASON_DEADLINE_EXCEEDED,
               "The answer did not come in time. Send the request again, with the same idempotency key if it writes.");
}

absl::Status Draining() {
  return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE,
               "This server is being stopped. Send the request again; open a stream again where it ended.");
}

absl::Status NoSuchMethod(absl::string_view path) {
  return Error(absl::StatusCode::kUnimplemented, type::v1::ERROR_REASON_METHOD_NOT_FOUND,
               absl::StrCat("There is no method ", path.substr(0, 200), " here."),
               {{"method", std::string(path.substr(0, 200))}});
}

absl::Status Outgoing(const absl::Status& status, const Call& call) {
  using Code = absl::StatusCode;
  switch (status.code()) {
    case Code::kOk:
      return status;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      return Error(Code::kInternal, type::v1::ERROR_REASON_INTERNAL,
                   absl::StrCat("Something broke on our side. Quote ", call.request_id, " when you report it."),
                   {{"request_id", call.request_id}});
    default:
      break;
  }
  Reason reason = ReasonOf(status);
  if (reason != type::v1::ERROR_REASON_UNSPECIFIED) return status;
  // Library statuses without a reason: the code says enough.
  static const auto* reasons =
      new absl::flat_hash_map<Code, Reason>{{Code::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID},
                                            {Code::kOutOfRange, type::v1::ERROR_REASON_FIELD_INVALID},
                                            {Code::kDeadlineExceeded, type::v1::ERROR_REASON_DEADLINE_EXCEEDED},
                                            {Code::kNotFound, type::v1::ERROR_REASON_RECORD_NOT_FOUND},
                                            {Code::kAlreadyExists, type::v1::ERROR_REASON_ALREADY_EXISTS},
                                            {Code::kPermissionDenied, type::v1::ERROR_REASON_RIGHT_MISSING},
                                            {Code::kResourceExhausted, type::v1::ERROR_REASON_RATE_LIMITED},
                                            {Code::kFailedPrecondition, type::v1::ERROR_REASON_STATE_INVALID},
                                            {Code::kAborted, type::v1::ERROR_REASON_CONFLICT},
                                            {Code::kUnimplemented, type::v1::ERROR_REASON_METHOD_NOT_FOUND},
                                            {Code::kUnavailable, type::v1::ERROR_REASON_UNAVAILABLE},
                                            {Code::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID}};
  auto it = reasons->find(status.code());
  if (it == reasons->end()) return status;
  absl::Status out = Error(status.code(), it->second, std::string(status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) { out.SetPayload(url, value); });
  return out;
}

}  // namespace crm::rpc::server_internal
