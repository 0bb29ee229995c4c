#include "common/pg/records.h"
#include "services/contact/service.h"

namespace crm::contact {

// Lists what has changed in a contact.
Async<v1::ListContactRevisionsResponse> ContactService::ListContactRevisions(
    Call& call, const v1::ListContactRevisionsRequest& request) {
  co_return co_await pg::ListRevisions<v1::ListContactRevisionsResponse>(db_, call, contacts_, request);
}

}  // namespace crm::contact
