#include "common/base/time.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/sql.h"

namespace crm::contact {
namespace {

namespace dp = deal_pipeline::v1;

// A deal, for the entries and tasks that hang on it. Bound to the order: the entry first, which looks at whose the deal
// was.
absl::Status PutDeal(pg::Batch& batch, const dp::Deal& deal, uint32_t revision) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid id, ParseId(deal.id(), "deal", "deal.id"));
  batch.Add(sql::kLockCard, pg::Params().Id(id));
  pg::Params row;
  row.Id(tenant).Id(id).Text("deal").Int(revision).Text(deal.title());
  CRM_TRY(AddId(row, deal.owner_id(), "user"));
  CRM_TRY(AddId(row, deal.team_id(), "team"));
  CRM_TRY(AddId(row, deal.contact_id(), "contact"));
  CRM_TRY(AddId(row, deal.company_id(), "company"));
  row.Null();
  CRM_TRY(AddId(row, deal.pipeline_id(), "pipeline"));
  CRM_TRY(AddId(row, deal.stage_id(), "stage"));
  row.Bool(deal.status() == dp::DEAL_STATUS_OPEN);
  deal.has_amount() ? row.Decimal(deal.amount().amount()) : row.Null();
  row.Text(deal.amount().currency_code()).Time(FromTimestamp(deal.create_time())).Bool(deal.has_delete_time());
  batch.Add(sql::kPutLinkedRecord, std::move(row));
  if (deal.contact_id().empty() && deal.company_id().empty()) return absl::OkStatus();

  pg::Params links;
  links.Id(tenant).Id(id);
  CRM_TRY(AddId(links, deal.contact_id(), "contact"));
  CRM_TRY(AddId(links, deal.company_id(), "company"));
  batch.Add(sql::kLinkDealEntries, std::move(links));
  if (deal.contact_id().empty()) return absl::OkStatus();
  CRM_TRY(Uuid contact, ParseId(deal.contact_id(), "contact", "deal.contact_id"));
  batch.Add(sql::kLinkTasks, pg::Params().Id(tenant).Id(id).Id(contact));
  batch.Add(sql::kRefreshNextTask, pg::Params().Id(tenant).Null().Id(contact));
  return absl::OkStatus();
}

absl::Status PutLead(pg::Batch& batch, const dp::Lead& lead, uint32_t revision) {
  const Uuid& tenant = batch.call().tenant();
  CRM_TRY(Uuid id, ParseId(lead.id(), "lead", "lead.id"));
  batch.Add(sql::kLockCard, pg::Params().Id(id));
  pg::Params row;
  row.Id(tenant).Id(id).Text("lead").Int(revision).Text(lead.title());
  CRM_TRY(AddId(row, lead.owner_id(), "user"));
  CRM_TRY(AddId(row, lead.team_id(), "team"));
  CRM_TRY(AddId(row, lead.contact_id(), "contact"));
  row.Null();
  CRM_TRY(AddId(row, lead.deal_id(), "deal"));
  row.Null().Null().Bool(lead.status() == dp::LEAD_STATUS_NEW).Null().Text("");
  row.Time(FromTimestamp(lead.create_time())).Bool(false);
  batch.Add(sql::kPutLinkedRecord, std::move(row));
  if (lead.contact_id().empty() && lead.deal_id().empty()) return absl::OkStatus();

  pg::Params links;
  links.Id(tenant).Id(id);
  CRM_TRY(AddId(links, lead.contact_id(), "contact"));
  CRM_TRY(AddId(links, lead.deal_id(), "deal"));
  batch.Add(sql::kLinkLeadEntries, std::move(links));
  if (lead.contact_id().empty()) return absl::OkStatus();
  CRM_TRY(Uuid contact, ParseId(lead.contact_id(), "contact", "lead.contact_id"));
  batch.Add(sql::kLinkTasks, pg::Params().Id(tenant).Id(id).Id(contact));
  batch.Add(sql::kRefreshNextTask, pg::Params().Id(tenant).Null().Id(contact));
  return absl::OkStatus();
}

template <typename... Payloads>
void HearDeals(events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    CRM_CO_TRY(PutOwnEntry(batch, heard.event, payload, payload.deal()));
    co_return PutDeal(batch, payload.deal(), heard.event.revision());
  }),
   ...);
}

template <typename... Payloads>
void HearLeads(events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    CRM_CO_TRY(PutOwnEntry(batch, heard.event, payload, payload.lead()));
    co_return PutLead(batch, payload.lead(), heard.event.revision());
  }),
   ...);
}

}  // namespace

void HearDealPipeline(events::Consumer& consumer) {
  HearDeals<dp::DealCreated, dp::DealMoved, dp::DealUpdated, dp::DealDeleted, dp::DealUndeleted>(consumer);
  HearLeads<dp::LeadCreated, dp::LeadUpdated, dp::LeadAccepted, dp::LeadDeclined, dp::LeadLinked>(consumer);
}

}  // namespace crm::contact
