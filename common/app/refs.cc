#include "common/app/refs.h"

#include <algorithm>
#include <map>

#include "common/base/id.h"
#include "common/base/status.h"

namespace crm::app {

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
    if (found == by_prefix.end()) continue;
    auto& ids = found->second;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    CRM_CO_TRY(auto refs, co_await pg::RefsOf(db_, call, *table, ids));
    for (auto& ref : refs) *response.add_refs() = std::move(ref);
  }
  co_return response;
}

}  // namespace crm::app
