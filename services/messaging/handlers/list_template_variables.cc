#include "services/messaging/rules/format.h"
#include "services/messaging/rules/value.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Answers what templates may name, from the records' own descriptors.
Async<v1::ListTemplateVariablesResponse> TemplateService::ListTemplateVariables(
    Call&, const v1::ListTemplateVariablesRequest&) {
  v1::ListTemplateVariablesResponse response;
  for (auto& [path, kind] : PathsOf(RootShape({}))) {
    auto* variable = response.add_variables();
    variable->set_path(path);
    variable->set_kind(kind);
  }
  for (const auto& filter : Filters()) {
    auto* shown = response.add_filters();
    shown->set_name(filter.name);
    shown->set_example(filter.example);
  }
  co_return response;
}

}  // namespace crm::messaging
