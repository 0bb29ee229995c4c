#include "common/rpc/status.h"

#include <absl/strings/cord.h>
#include <absl/strings/match.h>

namespace crm::rpc {

google::rpc::Status ToProto(const absl::Status& status) {
  google::rpc::Status out;
  out.set_code(static_cast<int>(status.code()));
  out.set_message(std::string(status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (!absl::StartsWith(url, "type.googleapis.com/")) return;
    auto* any = out.add_details();
    any->set_type_url(std::string(url));
    any->set_value(std::string(value));
  });
  return out;
}

absl::Status FromProto(const google::rpc::Status& status) {
  absl::Status out(static_cast<absl::StatusCode>(status.code()), status.message());
  for (const auto& any : status.details()) out.SetPayload(any.type_url(), absl::Cord(any.value()));
  return out;
}

}  // namespace crm::rpc
