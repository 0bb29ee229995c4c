#include "services/messaging/rules/templates.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Changes one, if it can still be filled in.
Async<v1::Template> TemplateService::UpdateTemplate(Call& call, const v1::UpdateTemplateRequest& request) {
  CRM_CO_TRY(v1::Template before, co_await db_.Get(call, templates_, request.template_().id()));
  CRM_CO_TRY(v1::Template after, pg::Patched(call, before, request.template_(), request.update_mask(), request.etag()));
  CRM_CO_TRY(CheckTemplate(after, "template"));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Template> {
    batch.Update(templates_, before, after);
    EmitRecord<v1::TemplateUpdated>(batch, templates_, "updated", after, pg::ChangedFields(before, after));
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, templates_, stored.status(), after);
  co_return pg::Shown(call, templates_, *std::move(stored));
}

}  // namespace crm::messaging
