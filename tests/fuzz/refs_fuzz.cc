// covers: services/gateway/expand.cc#CollectRefs
// The ids that an answer refers to, found on the wire: whatever the bytes are, they are ids of fields that were asked for.
#include <google/protobuf/stubs/logging.h>

#include "crm/deal_pipeline/v1/deal.pb.h"
#include "services/gateway/expand.h"
#include "tests/fuzz/gateway_api.h"

CRM_FUZZ(refs) {
  using namespace crm;
  static const google::protobuf::LogSilencer quiet;
  static const gateway::RpcRoute* const route = fuzz::SomeApi().Find("GET", "/v1/deals/deal_1")->rpc;
  fuzz::Require(route != nullptr && route->refs != nullptr, "a deal refers to others");
  const absl::string_view wire = input.Rest();
  std::set<std::string> ids;
  const absl::Status collected = gateway::CollectRefs(*route->refs, wire, {"owner", "contact"}, ids);
  deal_pipeline::v1::Deal deal;
  if (!deal.ParseFromArray(wire.data(), static_cast<int>(wire.size()))) return;
  fuzz::Require(collected.ok(), "what protobuf reads can be looked through", collected.message());
  for (const std::string* id : {&deal.owner_id(), &deal.contact_id()}) {
    fuzz::Require(id->empty() || ids.contains(*id), "what the deal refers to is found", *id);
  }
}
