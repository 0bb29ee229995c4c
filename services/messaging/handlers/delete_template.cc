#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Deletes one; it can be restored.
Async<v1::Template> TemplateService::DeleteTemplate(Call& call, const v1::DeleteTemplateRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, templates_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Template> {
    templates_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    EmitRecord<v1::TemplateDeleted>(batch, templates_, "deleted", change.after);
    return change.after;
  }));
  co_return pg::Shown(call, templates_, std::move(stored));
}

}  // namespace crm::messaging
