#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Finds companies by an address, in any spelling.
Async<v1::LookupCompaniesResponse> CompanyService::LookupCompanies(Call& call,
                                                                   const v1::LookupCompaniesRequest& request) {
  CRM_CO_TRY(auto ids, co_await FindByAddress(db_, call, companies_.prefix(), request));
  CRM_CO_TRY(auto found, co_await db_.BatchGet(call, companies_, std::move(ids)));
  v1::LookupCompaniesResponse response;
  for (auto& company : found) *response.add_companies() = pg::Shown(call, companies_, std::move(company));
  co_return response;
}

}  // namespace crm::contact
