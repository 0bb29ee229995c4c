#include "common/app/members.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "crm/contact/v1/events.pb.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

// Changes the masked fields of a contact and what it is found by.
Async<v1::Contact> ContactService::UpdateContact(Call& call, const v1::UpdateContactRequest& request) {
  CRM_CO_TRY(v1::Contact before, co_await db_.Get(call, contacts_, request.contact().id(), type::v1::ACTION_UPDATE));
  CRM_CO_TRY(v1::Contact after, pg::Patched(call, before, request.contact(), request.update_mask(), request.etag()));
  CRM_CO_TRY(co_await CheckNewCompany(db_, call, before, after));
  CRM_CO_TRY(Normalize(after, call.country_code));
  CRM_CO_TRY(co_await app::FillTeam(db_, call, before, after));
  auto stored = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::Contact> {
    v1::ContactUpdated event;
    *event.mutable_contact() = after;
    AddChanged(batch, contacts_, before, after, "updated", event);
    return after;
  });
  if (!stored.ok()) co_return co_await pg::NameExisting(db_, call, contacts_, stored.status(), after);
  co_return pg::Shown(call, contacts_, *std::move(stored));
}

}  // namespace crm::contact
