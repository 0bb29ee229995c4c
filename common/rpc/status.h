// absl::Status as google.rpc.Status: the form that errors have on the wire, and inside answers (one per item of a batch).
#pragma once

#include <absl/status/status.h>

#include "google/rpc/status.pb.h"

namespace crm::rpc {

// Of an error's payloads, only those that are protobuf details (common/base/error.h); the others stay in the process.
google::rpc::Status ToProto(const absl::Status& status);
absl::Status FromProto(const google::rpc::Status& status);

}  // namespace crm::rpc
