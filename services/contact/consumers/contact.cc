#include "services/contact/consumers/consumers.h"
#include "services/contact/sql.h"

namespace crm::contact {
namespace {

const v1::Contact& RecordOf(const v1::ContactCreated& payload) { return payload.contact(); }
const v1::Contact& RecordOf(const v1::ContactUpdated& payload) { return payload.contact(); }
const v1::Contact& RecordOf(const v1::ContactDeleted& payload) { return payload.contact(); }
const v1::Contact& RecordOf(const v1::ContactUndeleted& payload) { return payload.contact(); }
const v1::Company& RecordOf(const v1::CompanyCreated& payload) { return payload.company(); }
const v1::Company& RecordOf(const v1::CompanyUpdated& payload) { return payload.company(); }
const v1::Company& RecordOf(const v1::CompanyDeleted& payload) { return payload.company(); }
const v1::Company& RecordOf(const v1::CompanyUndeleted& payload) { return payload.company(); }

template <typename... Payloads>
void HearOwners(events::Consumer& consumer) {
  (consumer.On<Payloads>([](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    const auto entry = EntryOf(heard.event, payload);
    if (!entry) co_return absl::OkStatus();
    const auto& record = RecordOf(payload);
    CRM_CO_TRY(PutEntry(batch, *entry, {record.owner_id(), record.team_id()}));
    const v1::Activity& activity = entry->activity;
    if (activity.kind() == v1::ACTIVITY_KIND_HANDED_OVER) {
      CRM_CO_TRY(Uuid id, ParseId(activity.id(), "activity", "id"));
      pg::Params params;
      params.Id(batch.call().tenant()).Id(id);
      const bool contact = activity.object() == "contact";
      CRM_CO_TRY(AddId(params, contact ? record.id() : "", "contact"));
      CRM_CO_TRY(AddId(params, contact ? "" : record.id(), "company"));
      params.Int(heard.event.revision());
      batch.Add(sql::kPutFormerOwner, std::move(params));
    }
    co_return absl::OkStatus();
  }),
   ...);
}

template <typename... Payloads>
void HearNotes(events::Consumer& consumer, pg::Db& db) {
  (consumer.On<Payloads>([&db](const events::Heard& heard, const Payloads& payload, pg::Batch& batch) -> Async<> {
    auto entry = EntryOf(heard.event, payload);
    CRM_CO_TRY(const Card card, co_await FindCard(db, heard.call, entry->activity));
    co_return PutEntry(batch, *entry, card);
  }),
   ...);
}

}  // namespace

void HearContact(events::Consumer& consumer, pg::Db& db) {
  HearOwners<v1::ContactCreated, v1::ContactUpdated, v1::ContactDeleted, v1::ContactUndeleted, v1::CompanyCreated,
             v1::CompanyUpdated, v1::CompanyDeleted, v1::CompanyUndeleted>(consumer);
  HearNotes<v1::NoteCreated, v1::NoteUpdated, v1::NoteDeleted, v1::NoteUndeleted>(consumer, db);
}

}  // namespace crm::contact
