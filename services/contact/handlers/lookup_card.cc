#include <algorithm>

#include "common/base/status.h"
#include "common/base/time.h"
#include "services/contact/service.h"
#include "services/contact/store.h"

namespace crm::contact {

namespace {

// Whom one would rather speak to: accepted, then last in touch, then newest.
bool Before(const v1::Contact& a, const v1::Contact& b) {
  if (a.unaccepted() != b.unaccepted()) return b.unaccepted();
  const auto touch = [](const v1::Contact& c) {
    return c.has_last_touch_time() ? FromTimestamp(c.last_touch_time()) : absl::InfinitePast();
  };
  if (touch(a) != touch(b)) return touch(a) > touch(b);
  return FromTimestamp(a.create_time()) > FromTimestamp(b.create_time());
}

}  // namespace

// Answers the card of whoever has the address, and whom to put the call through to: whose the newest open deal is, else
// the contact.
Async<v1::LookupCardResponse> CardService::LookupCard(Call& call, const v1::LookupCardRequest& request) {
  CRM_CO_TRY(auto ids, co_await FindByAddress(db_, call, contacts_.prefix(), request));
  CRM_CO_TRY(auto found, co_await db_.BatchGet(call, contacts_, std::move(ids)));
  v1::LookupCardResponse response;
  if (found.empty()) co_return response;
  std::stable_sort(found.begin(), found.end(), Before);
  for (size_t i = 1; i < found.size(); ++i) response.add_other_contact_ids(found[i].id());
  const std::string owner = found[0].owner_id();
  CRM_CO_TRY(*response.mutable_card(), co_await CardOf(call, std::move(found[0])));
  for (const auto& deal : response.card().open_deals()) {
    if (deal.owner_id().empty()) continue;
    response.set_route_to_id(deal.owner_id());
    response.set_route_reason(v1::ROUTE_REASON_OPEN_DEAL);
    co_return response;
  }
  if (!owner.empty()) {
    response.set_route_to_id(owner);
    response.set_route_reason(v1::ROUTE_REASON_CONTACT_OWNER);
  }
  co_return response;
}

}  // namespace crm::contact
