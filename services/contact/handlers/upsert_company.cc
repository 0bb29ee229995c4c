#include "common/base/error.h"
#include "common/base/status.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Changes the company that has the external id, or makes it.
Async<v1::Company> CompanyService::UpsertCompany(Call& call, const v1::UpsertCompanyRequest& request) {
  CRM_CO_TRY(const std::string found, co_await pg::FindToUpsert(db_, call, request.company(), "company"));
  if (found.empty()) {
    v1::CreateCompanyRequest create;
    *create.mutable_company() = request.company();
    auto made = co_await CreateCompany(call, create);
    // Someone made it between the look and the write: look again.
    if (absl::IsAlreadyExists(made.status())) co_return LostRace(request.company().external_ids(0).id());
    co_return made;
  }
  v1::UpdateCompanyRequest update;
  *update.mutable_company() = request.company();
  update.mutable_company()->set_id(found);
  *update.mutable_update_mask() = pg::UpsertMask(request.company(), request.update_mask());
  co_return co_await UpdateCompany(call, update);
}

}  // namespace crm::contact
