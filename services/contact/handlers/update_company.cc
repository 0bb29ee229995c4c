#include "common/app/members.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Changes the masked fields of a company and what it is found by.
Async<v1::Company> CompanyService::UpdateCompany(Call& call, const v1::UpdateCompanyRequest& request) {
  CRM_CO_TRY(v1::Company before, co_await db_.Get(call, companies_, request.company().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Company after, pg::Patched(call, before, request.company(), request.update_mask(), request.etag()));
  CRM_CO_TRY(co_await CheckNewCompany(db_, call, before, after));
  CRM_CO_TRY(Normalize(after, call.country_code));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, before, after));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Company> {
    v1::CompanyUpdated event;
    *event.mutable_company() = after;
    AddChanged(batch, companies_, before, after, "updated", event);
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, companies_, stored.status(), after);
  co_return pg::Shown(call, companies_, *std::move(stored));
}

}  // namespace crm::contact
