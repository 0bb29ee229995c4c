#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// Makes one and says so.
Async<v1::Template> TemplateService::CreateTemplate(Call& call, const v1::CreateTemplateRequest& request) {
  v1::Template made = request.template_();
  pg::StampNew(call, templates_, made);
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Template> {
    batch.Insert(templates_, made);
    v1::TemplateCreated event;
    *event.mutable_template_() = made;
    batch.Emit(pg::EventOf(templates_, "created", made), event);
    return made;
  }));
  co_return pg::Shown(call, templates_, std::move(stored));
}

}  // namespace crm::messaging
