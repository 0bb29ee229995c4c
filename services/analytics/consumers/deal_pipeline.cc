#include "services/analytics/consumers/consumers.h"

namespace crm::analytics {
namespace {

// Events of a deal that has a row already: what they change is what differs from it. Nobody else writes the row
// meanwhile, because the position moves in the same transaction.
template <typename... Payloads>
void HearOldDeals(PayloadList<Payloads...>, events::Consumer& consumer, pg::Db& db) {
  (consumer.On<Payloads>([&db](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    CRM_CO_TRY(std::optional<Row> before, co_await LoadDeal(db, heard.call, heard.event.record_id()));
    CRM_CO_TRY(Changes changes, Project(heard.event, payload, before ? &*before : nullptr));
    AddChanges(batch, changes);
    co_return absl::OkStatus();
  }),
   ...);
}

}  // namespace

void HearDealPipeline(events::Consumer& consumer, pg::Db& db) {
  HearAll(NewDealPayloads(), consumer);
  HearOldDeals(OldDealPayloads(), consumer, db);
  HearAll(CataloguePayloads(), consumer);
}

}  // namespace crm::analytics
