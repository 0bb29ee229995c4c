#include "common/base/error.h"
#include "common/base/status.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Changes the company that has the external id, or makes it.
Async<v1::Company> CompanyService::UpsertCompany(Call& call, const v1::UpsertCompanyRequest& request) {
  if (request.company().external_ids().empty()) {
    co_return FieldError("company.external_ids", "is empty; an upsert finds its record by the first external id");
  }
  const auto& key = request.company().external_ids(0);
  CRM_CO_TRY(auto found, co_await FindByExternalId(db_, call, companies_.prefix(), key.system(), key.id()));
  if (found.empty()) {
    v1::CreateCompanyRequest create;
    *create.mutable_company() = request.company();
    auto made = co_await CreateCompany(call, create);
    // Someone made it between the look and the write: look again.
    if (absl::IsAlreadyExists(made.status())) co_return LostRace(key.id());
    co_return made;
  }
  v1::UpdateCompanyRequest update;
  *update.mutable_company() = request.company();
  update.mutable_company()->set_id(found.front());
  *update.mutable_update_mask() = request.update_mask();
  if (update.update_mask().paths().empty()) *update.mutable_update_mask() = PresentFields(request.company());
  co_return co_await UpdateCompany(call, update);
}

}  // namespace crm::contact
