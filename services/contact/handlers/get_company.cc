#include "common/pg/records.h"
#include "services/contact/service.h"

namespace crm::contact {

// Answers one company as the caller may see it, as it is or as it was.
Async<v1::Company> CompanyService::GetCompany(Call& call, const v1::GetCompanyRequest& request) {
  co_return co_await pg::GetShownAsOf(db_, call, companies_, request);
}

}  // namespace crm::contact
