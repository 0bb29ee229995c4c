#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Finds contacts by an address, in any spelling.
Async<v1::LookupContactsResponse> ContactService::LookupContacts(Call& call, const v1::LookupContactsRequest& request) {
  CRM_CO_TRY(auto ids, co_await FindByAddress(db_, call, contacts_.prefix(), request));
  CRM_CO_TRY(auto found, co_await db_.BatchGet(call, contacts_, std::move(ids)));
  v1::LookupContactsResponse response;
  for (auto& contact : found) *response.add_contacts() = pg::Shown(call, contacts_, std::move(contact));
  co_return response;
}

}  // namespace crm::contact
