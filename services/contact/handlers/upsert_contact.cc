#include "common/base/error.h"
#include "common/base/status.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Changes the contact that has the external id, or makes it.
Async<v1::Contact> ContactService::UpsertContact(Call& call, const v1::UpsertContactRequest& request) {
  CRM_CO_TRY(const std::string found, co_await pg::FindToUpsert(db_, call, request.contact(), "contact"));
  if (found.empty()) {
    v1::CreateContactRequest create;
    *create.mutable_contact() = request.contact();
    auto made = co_await CreateContact(call, create);
    // Someone made it between the look and the write: look again.
    if (absl::IsAlreadyExists(made.status())) co_return LostRace(request.contact().external_ids(0).id());
    co_return made;
  }
  v1::UpdateContactRequest update;
  *update.mutable_contact() = request.contact();
  update.mutable_contact()->set_id(found);
  *update.mutable_update_mask() = pg::UpsertMask(request.contact(), request.update_mask());
  co_return co_await UpdateContact(call, update);
}

}  // namespace crm::contact
