#include "common/pg/records.h"
#include "services/contact/service.h"

namespace crm::contact {

// Answers one contact as the caller may see it, as it is or as it was.
Async<v1::Contact> ContactService::GetContact(Call& call, const v1::GetContactRequest& request) {
  co_return co_await pg::GetShownAsOf(db_, call, contacts_, request);
}

}  // namespace crm::contact
