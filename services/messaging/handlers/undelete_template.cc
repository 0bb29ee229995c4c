#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Restores one.
Async<v1::Template> TemplateService::UndeleteTemplate(Call& call, const v1::UndeleteTemplateRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Undeleting(db_, call, templates_, request.id(), request.etag()));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Template> {
    templates_.AddUpdate(batch, change.before, change.after, type::v1::ACTION_UNSPECIFIED);
    EmitRecord<v1::TemplateUndeleted>(batch, templates_, "undeleted", change.after);
    return change.after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, templates_, stored.status(), change.after);
  co_return pg::Shown(call, templates_, *std::move(stored));
}

}  // namespace crm::messaging
