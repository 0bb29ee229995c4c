#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Makes a company: normalised, with all that it is found by, and says so.
Async<v1::Company> CompanyService::CreateCompany(Call& call, const v1::CreateCompanyRequest& request) {
  CRM_CO_TRY(v1::Company company, co_await NewRecord(db_, call, companies_, request.company()));
  auto made = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Company> {
    v1::CompanyCreated event;
    *event.mutable_company() = company;
    AddCreated(batch, companies_, company, event);
    return company;
  });
  if (!made.ok()) co_return co_await pg::NameExisting(db_, call, companies_, made.status(), company);
  co_return pg::Shown(call, companies_, *std::move(made));
}

}  // namespace crm::contact
