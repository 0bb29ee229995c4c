#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Lists them by filter and order.
Async<v1::ListTemplatesResponse> TemplateService::ListTemplates(Call& call, const v1::ListTemplatesRequest& request) {
  co_return co_await pg::ListShown(db_, call, templates_, request, &v1::ListTemplatesResponse::mutable_templates);
}

}  // namespace crm::messaging
