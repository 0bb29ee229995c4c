#include "crm/deal_pipeline/v1/events.pb.h"
#include "services/messaging/consumers/consumers.h"
#include "services/messaging/sql.h"
#include "services/messaging/store.h"

namespace crm::messaging {
namespace deal_consumer {

template <typename Event>
void OnLead(events::Consumer& consumer, Messaging& app) {
  consumer.On<Event>([&app](const events::Heard& heard, const Event& event, pg::Batch& batch) -> Async<> {
    const deal_pipeline::v1::Lead& lead = event.lead();
    if (lead.source() != "mail" || lead.deal_id().empty()) co_return absl::OkStatus();
    CRM_CO_TRY(Uuid id, ParseId(lead.id(), "lead", "lead.id"));
    CRM_CO_TRY(pg::Rows rows, co_await app.db.Read(heard.call, sql::kConversationsOfLead, pg::Params().Id(id)));
    for (int i = 0; i < rows.size(); ++i) {
      const std::string conversation_id = TypeId("conversation", rows.Id(i, 0));
      CRM_CO_TRY(v1::Conversation before, co_await app.db.Get(heard.call, app.tables.conversations, conversation_id));
      if (!before.deal_id().empty()) continue;
      v1::Conversation after = before;
      after.set_deal_id(lead.deal_id());
      if (after.contact_id().empty()) after.set_contact_id(lead.contact_id());
      // Whoever took the lead up answers its letters.
      if (!lead.owner_id().empty()) {
        after.set_owner_id(lead.owner_id());
        after.set_team_id(lead.team_id());
      }
      pg::Touch(heard.call, before, after);
      ChangeConversation(batch, app.tables, before, after, type::v1::ACTION_UNSPECIFIED);
    }
    co_return absl::OkStatus();
  });
}

}  // namespace deal_consumer

void HearDealPipeline(events::Consumer& consumer, Messaging& app) {
  deal_consumer::OnLead<deal_pipeline::v1::LeadAccepted>(consumer, app);
  deal_consumer::OnLead<deal_pipeline::v1::LeadLinked>(consumer, app);
}

}  // namespace crm::messaging
