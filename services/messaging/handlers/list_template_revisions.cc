#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists a template's versions.
Async<v1::ListTemplateRevisionsResponse> TemplateService::ListTemplateRevisions(
    Call& call, const v1::ListTemplateRevisionsRequest& request) {
  co_return co_await pg::ListRevisions<v1::ListTemplateRevisionsResponse>(db_, call, templates_, request);
}

}  // namespace crm::messaging
