#include "common/base/error.h"
#include "common/base/status.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Changes the contact that has the external id, or makes it.
Async<v1::Contact> ContactService::UpsertContact(Call& call, const v1::UpsertContactRequest& request) {
  if (request.contact().external_ids().empty()) {
    co_return FieldError("contact.external_ids", "is empty; an upsert finds its record by the first external id");
  }
  const auto& key = request.contact().external_ids(0);
  CRM_CO_TRY(auto found, co_await FindByExternalId(db_, call, contacts_.prefix(), key.system(), key.id()));
  if (found.empty()) {
    v1::CreateContactRequest create;
    *create.mutable_contact() = request.contact();
    auto made = co_await CreateContact(call, create);
    // Someone made it between the look and the write: look again.
    if (absl::IsAlreadyExists(made.status())) co_return LostRace(key.id());
    co_return made;
  }
  v1::UpdateContactRequest update;
  *update.mutable_contact() = request.contact();
  update.mutable_contact()->set_id(found.front());
  *update.mutable_update_mask() = request.update_mask();
  if (update.update_mask().paths().empty()) *update.mutable_update_mask() = PresentFields(request.contact());
  co_return co_await UpdateContact(call, update);
}

}  // namespace crm::contact
