#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Deletes a contact; it keeps its place and can be restored.
Async<v1::Contact> ContactService::DeleteContact(Call& call, const v1::DeleteContactRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Deleting(db_, call, contacts_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Contact> {
    v1::ContactDeleted event;
    *event.mutable_contact() = change.after;
    AddChanged(batch, contacts_, change.before, change.after, "deleted", event, type::v1::ACTION_DELETE);
    return change.after;
  }));
  co_return pg::Shown(call, contacts_, std::move(stored));
}

}  // namespace crm::contact
