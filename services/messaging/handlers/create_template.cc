#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/messaging/v1/events.pb.h"
#include "services/messaging/service.h"

namespace crm::messaging {

// Makes one and says so.
Async<v1::Template> TemplateService::CreateTemplate(Call& call, const v1::CreateTemplateRequest& request) {
  v1::Template template = request.template();
  pg::StampNew(call, templates_, template);
  CRM_CO_TRY(auto made, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Template> {
    batch.Insert(templates_, template);
    v1::TemplateCreated event;
    *event.mutable_template() = template;
    batch.Emit(pg::EventOf(templates_, "created", template), event);
    return template;
  }));
  co_return pg::Shown(call, templates_, std::move(made));
}

}  // namespace crm::messaging
