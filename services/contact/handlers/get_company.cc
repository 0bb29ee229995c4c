#include "common/pg/records.h"
#include "services/contact/service.h"

namespace crm::contact {

// Answers one company as the caller may see it.
Async<v1::Company> CompanyService::GetCompany(Call& call, const v1::GetCompanyRequest& request) {
  co_return co_await pg::GetShown(db_, call, companies_, request.id());
}

}  // namespace crm::contact
