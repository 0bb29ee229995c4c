#include "common/pg/records.h"
#include "services/contact/service.h"

namespace crm::contact {

// Lists what has changed in a company.
Async<v1::ListCompanyRevisionsResponse> CompanyService::ListCompanyRevisions(
    Call& call, const v1::ListCompanyRevisionsRequest& request) {
  co_return co_await pg::ListRevisions<v1::ListCompanyRevisionsResponse>(db_, call, companies_, request);
}

}  // namespace crm::contact
