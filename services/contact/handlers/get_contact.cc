#include "common/pg/records.h"
#include "services/contact/service.h"

namespace crm::contact {

// Answers one contact as the caller may see it.
Async<v1::Contact> ContactService::GetContact(Call& call, const v1::GetContactRequest& request) {
  co_return co_await pg::GetShown(db_, call, contacts_, request.id());
}

}  // namespace crm::contact
