#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Makes a contact: normalised, with all that it is found by, and says so.
Async<v1::Contact> ContactService::CreateContact(Call& call, const v1::CreateContactRequest& request) {
  CRM_CO_TRY(v1::Contact contact, co_await NewRecord(db_, call, contacts_, request.contact()));
  auto made = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Contact> {
    v1::ContactCreated event;
    *event.mutable_contact() = contact;
    AddCreated(batch, contacts_, contact, event);
    return contact;
  });
  if (!made.ok()) co_return co_await pg::NameExisting(db_, call, contacts_, made.status(), contact);
  co_return pg::Shown(call, contacts_, *std::move(made));
}

}  // namespace crm::contact
