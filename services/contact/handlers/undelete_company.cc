#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Restores a deleted company.
Async<v1::Company> CompanyService::UndeleteCompany(Call& call, const v1::UndeleteCompanyRequest& request) {
  CRM_CO_TRY(auto change, co_await pg::Undeleting(db_, call, companies_, request.id(), request.etag()));
  CRM_CO_TRY(auto stored, co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Company> {
    v1::CompanyUndeleted event;
    *event.mutable_company() = change.after;
    AddChanged(batch, companies_, change.before, change.after, "undeleted", event, type::v1::ACTION_DELETE);
    return change.after;
  }));
  co_return pg::Shown(call, companies_, std::move(stored));
}

}  // namespace crm::contact
