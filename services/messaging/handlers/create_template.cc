#include "services/messaging/rules/templates.h"
#include "services/messaging/service.h"
#include "services/messaging/store.h"

namespace crm::messaging {

// Makes one, if it could be filled in.
Async<v1::Template> TemplateService::CreateTemplate(Call& call, const v1::CreateTemplateRequest& request) {
  v1::Template made = request.template_();
  CRM_CO_TRY(CheckTemplate(made, "template"));
  pg::StampNew(call, templates_, made);
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Template> {
    batch.Insert(templates_, made);
    EmitRecord<v1::TemplateCreated>(batch, templates_, "created", made);
    return made;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, templates_, stored.status(), made);
  co_return pg::Shown(call, templates_, *std::move(stored));
}

}  // namespace crm::messaging
