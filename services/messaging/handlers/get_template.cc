#include "common/pg/records.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// Answers one as the caller may see it.
Async<v1::Template> TemplateService::GetTemplate(Call& call, const v1::GetTemplateRequest& request) {
  co_return co_await pg::GetShown(db_, call, templates_, request.id());
}

}  // namespace crm::messaging
