#include "crm/contact/v1/events.pb.h"
#include "services/contact/batch_create.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Makes up to 500 contacts; each has a status of its own.
Async<v1::BatchCreateContactsResponse> ContactService::BatchCreateContacts(
    Call& call, const v1::BatchCreateContactsRequest& request) {
  co_return co_await BatchCreate<v1::BatchCreateContactsResponse, v1::ContactCreated>(
      db_, call, contacts_, request, &v1::CreateContactRequest::contact,
      &v1::BatchCreateContactsResponse::Result::mutable_contact, &v1::ContactCreated::mutable_contact);
}

}  // namespace crm::contact
