#include "common/app/refs.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>

#include "common/base/id.h"
#include "common/base/status.h"
#include "common/rpc/access.h"
#include "crm/type/v1/options.pb.h"

namespace crm::app {
namespace {

// Whether the rpc that answers one such record whole is open to the caller; for kinds that no rpc answers one by one (API keys),
// the short form is all that there is, and everybody's. Which records, beyond that, RefsOf narrows by owner and team.
bool MayRead(const Call& call, const google::protobuf::Descriptor* record) {
  bool asked = false;
  const google::protobuf::FileDescriptor* file = record->file();
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const auto* method = file->service(s)->method(m);
      if (method->output_type() != record ||
          method->options().idempotency_level() != google::protobuf::MethodOptions::NO_SIDE_EFFECTS) {
        continue;
      }
      asked = true;
      if (rpc::CheckAccess(method->options().GetExtension(type::v1::access), call.principal).ok()) return true;
    }
  }
  return !asked;
}

}  // namespace

Async<type::v1::BatchGetRefsResponse> RefService::BatchGetRefs(Call& call,
                                                               const type::v1::BatchGetRefsRequest& request) {
  // What is no id, or of another service's kind, is left out like what does not exist.
  std::map<std::string, std::vector<std::string>> by_prefix;
  for (const auto& id : request.ids()) {
    if (auto parsed = ParseId(id); parsed.ok()) by_prefix[parsed->prefix].push_back(id);
  }
  type::v1::BatchGetRefsResponse response;
  for (const auto* table : tables_) {
    auto found = by_prefix.find(table->prefix());
    if (found == by_prefix.end() || !MayRead(call, table->descriptor())) continue;
    auto& ids = found->second;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    CRM_CO_TRY(auto refs, co_await pg::RefsOf(db_, call, *table, ids));
    for (auto& ref : refs) *response.add_refs() = std::move(ref);
  }
  co_return response;
}

}  // namespace crm::app
