#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "common/rpc/server.h"
#include "common/rpc/validation.h"
#include "crm/type/v1/options.pb.h"

namespace crm::rpc {

absl::Status CheckService(const Service& service) {
  std::vector<std::string> wrong;
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service.full_name());
  if (descriptor == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("No proto has a service ", service.full_name(), "."));
  }
  for (const auto& method : service.methods()) {
    if (descriptor->FindMethodByName(method.name) == nullptr) {
      wrong.push_back(absl::StrCat(service.full_name(), ".", method.name, " is in service.h but in no proto."));
    }
  }
  for (int i = 0; i < descriptor->method_count(); ++i) {
    const auto* rpc = descriptor->method(i);
    const Service::Method* handler = nullptr;
    for (const auto& method : service.methods()) {
      if (method.name != rpc->name()) continue;
      if (handler != nullptr) wrong.push_back(absl::StrCat(rpc->full_name(), " has two handlers."));
      handler = &method;
    }
    const auto& access = rpc->options().GetExtension(type::v1::access);
    if (!rpc->options().HasExtension(type::v1::access) || access.who_case() == type::v1::Access::WHO_NOT_SET) {
      wrong.push_back(
          absl::StrCat(rpc->full_name(), " does not say who may call it: give it option (crm.type.v1.access)."));
    } else if (access.has_right() &&
               (access.right().object().empty() || access.right().action() == type::v1::ACTION_UNSPECIFIED)) {
      wrong.push_back(absl::StrCat(rpc->full_name(), ": its right needs an object and an action."));
    } else if ((access.has_public_() && !access.public_()) || (access.has_signed_in() && !access.signed_in()) ||
               (access.has_service() && !access.service())) {
      wrong.push_back(absl::StrCat(rpc->full_name(), ": its access option is set to false, so nobody could call it."));
    } else if (access.services_size() > 0 && !access.has_right()) {
      wrong.push_back(absl::StrCat(rpc->full_name(), ": services are named beside a right, and it has none."));
    }
    if (rpc->client_streaming()) wrong.push_back(absl::StrCat(rpc->full_name(), ": client streaming is not offered."));
    if (handler == nullptr) {
      wrong.push_back(absl::StrCat(rpc->full_name(), " has no handler: add its line to service.h."));
      continue;
    }
    if (rpc->server_streaming() != (handler->stream != nullptr)) {
      wrong.push_back(absl::StrCat(rpc->full_name(), " must be registered with ",
                                   rpc->server_streaming() ? "CRM_RPC_STREAM." : "CRM_RPC."));
    }
    if (handler->request->GetDescriptor() != rpc->input_type() ||
        handler->response->GetDescriptor() != rpc->output_type()) {
      wrong.push_back(absl::StrCat(rpc->full_name(), " takes ", rpc->input_type()->full_name(), " and answers ",
                                   rpc->output_type()->full_name(), "; its handler has other types."));
    }
    if (absl::Status rules = CheckRules(rpc->input_type()); !rules.ok()) {
      wrong.push_back(absl::StrCat(rpc->full_name(), ": ", rules.message()));
    }
  }
  if (wrong.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrJoin(wrong, "\n"));
}

}  // namespace crm::rpc
