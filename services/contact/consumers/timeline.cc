#include <absl/strings/str_cat.h>

#include "common/base/time.h"
#include "services/contact/consumers/consumers.h"
#include "services/contact/sql.h"

namespace crm::contact {
namespace {

std::string IdAt(const pg::Rows& rows, int column, const char* prefix) {
  return rows.IsNull(0, column) ? std::string() : TypeId(prefix, rows.Id(0, column));
}

pg::Params& AddTime(pg::Params& params, bool present, const google::protobuf::Timestamp& time) {
  return present ? params.Time(FromTimestamp(time)) : params.Null();
}

// Of what begins, nothing is known but this. Most entries are such, and come by the thousand with an import.
absl::Status PutFirstEntry(pg::Batch& batch, const v1::Activity& a, const Uuid& id) {
  pg::Params row;
  row.Id(id).Int(a.kind()).Text(a.object()).Text(a.record_id());
  a.author_id().empty() ? row.Null() : row.Text(a.author_id());
  CRM_TRY(AddId(row, a.contact_id(), "contact"));
  CRM_TRY(AddId(row, a.company_id(), "company"));
  row.Time(FromTimestamp(a.time())).Text(a.title());
  CRM_TRY(AddId(row, a.rule_id(), "rule"));
  row.Text(a.source()).Int(a.source_seq());
  batch.AddRow(sql::kPutFirstEntries, pg::Params().Id(batch.call().tenant()), std::move(row));
  return absl::OkStatus();
}

}  // namespace

absl::Status AddId(pg::Params& params, const std::string& id, const char* prefix) {
  if (id.empty()) {
    params.Null();
    return absl::OkStatus();
  }
  CRM_TRY(Uuid uuid, ParseId(id, prefix, absl::StrCat(prefix, "_id")));
  params.Id(uuid);
  return absl::OkStatus();
}

Async<Card> FindCard(pg::Db& db, const Call& call, v1::Activity& activity) {
  Card card;
  // A lead may lead on to its deal, which is then the card.
  for (int step = 0; step < 2; ++step) {
    pg::Params params;
    const bool deal = !activity.deal_id().empty(), lead = !deal && !activity.lead_id().empty();
    const bool contact = !deal && !lead && !activity.contact_id().empty();
    CRM_CO_TRY(AddId(params, activity.deal_id(), "deal"));
    CRM_CO_TRY(AddId(params, lead ? activity.lead_id() : "", "lead"));
    CRM_CO_TRY(AddId(params, contact ? activity.contact_id() : "", "contact"));
    CRM_CO_TRY(AddId(params, deal || lead || contact ? "" : activity.company_id(), "company"));
    CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kLoadCard, std::move(params)));
    if (rows.empty()) co_return card;
    card = {IdAt(rows, 0, "user"), IdAt(rows, 1, "team")};
    if (activity.contact_id().empty()) activity.set_contact_id(IdAt(rows, 2, "contact"));
    if (activity.company_id().empty()) activity.set_company_id(IdAt(rows, 3, "company"));
    if (deal || IdAt(rows, 4, "deal").empty()) break;
    activity.set_deal_id(IdAt(rows, 4, "deal"));
  }
  co_return card;
}

absl::Status PutEntry(pg::Batch& batch, const Entry& entry, const Card& card) {
  const v1::Activity& a = entry.activity;
  const std::string hangs_on = CardOf(a);
  if (hangs_on.empty()) return absl::OkStatus();  // on no card
  CRM_TRY(Uuid id, ParseId(a.id(), "activity", "id"));
  if (BeginsItsCard(a)) return PutFirstEntry(batch, a, id);
  // Whom a deal or lead concerns may be learnt meanwhile from its own events.
  for (const std::string* linked : {&a.deal_id(), &a.lead_id()}) {
    if (linked->empty()) continue;
    CRM_TRY(auto parsed, ParseId(*linked));
    batch.Add(sql::kLockCard, pg::Params().Id(parsed.uuid));
    break;
  }
  const bool handed_over = a.kind() == v1::ACTIVITY_KIND_HANDED_OVER;
  pg::Params params;
  params.Id(batch.call().tenant()).Id(id).Int(a.kind()).Text(a.object()).Text(a.record_id());
  a.author_id().empty() ? params.Null() : params.Text(a.author_id());
  CRM_TRY(AddId(params, a.contact_id(), "contact"));
  CRM_TRY(AddId(params, a.company_id(), "company"));
  CRM_TRY(AddId(params, a.deal_id(), "deal"));
  CRM_TRY(AddId(params, a.lead_id(), "lead"));
  params.Time(FromTimestamp(a.time())).Time(FromTimestamp(a.update_time()));
  params.Text(a.title()).Text(a.snippet()).Int(a.direction()).Int(a.state());
  CRM_TRY(AddId(params, a.from_stage_id(), "stage"));
  CRM_TRY(AddId(params, a.to_stage_id(), "stage"));
  params.Bool(handed_over);
  CRM_TRY(AddId(params, a.to_owner_id(), "user"));
  if (a.has_amount()) {
    params.Decimal(a.amount().amount()).Text(a.amount().currency_code());
  } else {
    params.Null().Null();
  }
  params.TextArray({a.changed_fields().begin(), a.changed_fields().end()});
  AddTime(params, a.has_due_time(), a.due_time());
  params.Bool(a.pinned());
  CRM_TRY(AddId(params, a.conversation_id(), "conversation"));
  CRM_TRY(AddId(params, a.rule_id(), "rule"));
  params.Text(a.source()).Int(a.source_seq());
  batch.Add(sql::kPutActivity, std::move(params));

  pg::NewEvent about;
  about.type = entry.first ? "activity.created" : "activity.updated";
  about.record_id = a.id();
  about.owner_id = card.owner_id;
  about.team_id = card.team_id;
  about.read_objects = {hangs_on.substr(0, hangs_on.find('_')), a.object()};
  if (entry.first) {
    v1::ActivityCreated created;
    *created.mutable_activity() = a;
    batch.Emit(about, created);
  } else {
    v1::ActivityUpdated updated;
    *updated.mutable_activity() = a;
    batch.Emit(about, updated);
  }
  return absl::OkStatus();
}

}  // namespace crm::contact
