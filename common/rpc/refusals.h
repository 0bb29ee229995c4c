// What the server says when it refuses or fails a call by itself. Not for others than server.cc.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <chrono>

#include "common/base/call.h"

namespace crm::rpc::server_internal {

// Canonical codes, OK among them.
inline constexpr int kCodes = 17;
const char* CodeName(absl::StatusCode code);

// To be tried again after `delay`.
absl::Status Overloaded(std::chrono::milliseconds delay);
absl::Status TooLarge();
absl::Status DeadlineOver();
// For streams: a call that comes meanwhile goes to another server unheard (REFUSED_STREAM).
absl::Status Draining();
absl::Status NoSuchMethod(absl::string_view path);

// What leaves the process: errors of ours are hidden behind the request's id, and every error has a reason.
absl::Status Outgoing(const absl::Status& status, const Call& call);

}  // namespace crm::rpc::server_internal
