#include "services/analytics/rules/projection.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <optional>
#include <tuple>

#include "common/base/status.h"
#include "common/base/time.h"

namespace crm::analytics {
namespace projecting {

// A reference that may be empty.
absl::StatusOr<Value> Ref(const std::string& id, const char* prefix) {
  if (id.empty()) return Value();
  CRM_TRY(Uuid uuid, ParseId(id, prefix, prefix));
  return Value(uuid);
}

Value TimeOf(bool has, const google::protobuf::Timestamp& time) { return has ? Value(FromTimestamp(time)) : Value(); }

// The TypeID of a reference in a row; empty for NULL.
std::string IdText(const Row& row, const char* column, const char* prefix) {
  return row.Has(column) ? TypeId(prefix, row.Get<Uuid>(column)) : "";
}

// ---- deals ----

absl::StatusOr<Row> DealRow(const events::v1::Event& event, const deal_pipeline::v1::Deal& deal, const Row* before) {
  Row row(kDealFact, event.revision());
  CRM_TRY(Uuid id, ParseId(deal.id(), "deal", "deal.id"));
  CRM_TRY(Uuid pipeline, ParseId(deal.pipeline_id(), "pipeline", "deal.pipeline_id"));
  CRM_TRY(Uuid stage, ParseId(deal.stage_id(), "stage", "deal.stage_id"));
  CRM_TRY(Value owner, Ref(deal.owner_id(), "user"));
  CRM_TRY(Value team, Ref(deal.team_id(), "team"));
  CRM_TRY(Value company, Ref(deal.company_id(), "company"));
  CRM_TRY(Value contact, Ref(deal.contact_id(), "contact"));
  Value amount;
  if (deal.has_amount()) {
    CRM_TRY(amount, AmountOf(deal.amount(), "deal.amount.amount"));
  }
  int64_t visit = 1;
  if (before != nullptr) visit = before->Get<int64_t>("visit") + (before->Get<Uuid>("stage_id") == stage ? 0 : 1);
  row.Set("id", id)
      .Set("revision", row.revision())
      .Set("pipeline_id", pipeline)
      .Set("stage_id", stage)
      .Set("status", int64_t{deal.status()})
      .Set("visit", visit)
      .Set("owner_id", owner)
      .Set("team_id", team)
      .Set("company_id", company)
      .Set("contact_id", contact)
      .Set("source", deal.source())
      .Set("amount", amount)
      .Set("currency_code", deal.amount().currency_code())
      .Set("open_time", FromTimestamp(deal.open_time()))
      .Set("stage_enter_time", FromTimestamp(deal.stage_enter_time()))
      .Set("won_time", TimeOf(deal.has_won_time(), deal.won_time()))
      .Set("lost_time", TimeOf(deal.has_lost_time(), deal.lost_time()))
      .Set("lost_reason", deal.lost_reason())
      .Set("deleted", deal.has_delete_time());
  return row;
}

absl::StatusOr<Row> LineRow(const Row& deal, int64_t number, const deal_pipeline::v1::DealLine& line) {
  Row row(kDealLineFact, deal.revision());
  CRM_TRY(Value product, Ref(line.product_id(), "product"));
  CRM_TRY(Decimal quantity, Decimal::Parse(line.quantity()));
  CRM_TRY(Decimal total, AmountOf(line.total(), "deal.lines.total.amount"));
  row.Set("deal_id", deal.Get<Uuid>("id"))
      .Set("line", number)
      .Set("product_id", product)
      .Set("name", line.name())
      .Set("quantity", quantity)
      .Set("total", total)
      .Set("currency_code", line.total().currency_code());
  return row;
}

// A deal's stay in its stage, until `leave`.
Row EntryRow(const Row& deal, int64_t revision, Value leave) {
  Row row(kStageEntryFact, revision);
  row.Set("deal_id", deal.Get<Uuid>("id"))
      .Set("visit", deal.Get<int64_t>("visit"))
      .Set("stage_id", deal.Get<Uuid>("stage_id"))
      .Set("enter_time", deal.Get<absl::Time>("stage_enter_time"))
      .Set("leave_time", std::move(leave));
  return row;
}

// What a deal counts for in reports, as far as live screens are told.
struct Side {
  explicit Side(const Row& deal) : row(deal), won(deal.Has("won_time")) {
    if (won && deal.Has("amount")) amount = deal.Get<Decimal>("amount");
  }
  auto Readers() const { return std::tie(row.At("owner_id"), row.At("team_id"), row.At("pipeline_id")); }
  // Whether one difference tells of both: the same readers, and no sums of two currencies.
  bool Meets(const Side& other) const {
    return Readers() == other.Readers() &&
           !(won && other.won && row.At("currency_code") != other.row.At("currency_code"));
  }
  bool SameAs(const Side& other) const {
    if (Readers() != other.Readers() || row.At("stage_id") != other.row.At("stage_id") || won != other.won)
      return false;
    if (!won) return true;
    for (const char* column : {"amount", "currency_code", "won_time", "company_id", "contact_id", "source"}) {
      if (row.At(column) != other.row.At(column)) return false;
    }
    return true;
  }

  const Row& row;
  bool won;
  Decimal amount;
};

Increment MakeIncrement(const Side& side, const Decimal& amount, int count) {
  Increment increment;
  increment.owner_id = IdText(side.row, "owner_id", "user");
  increment.team_id = IdText(side.row, "team_id", "team");
  v1::ReportChanged& changed = increment.changed;
  changed.set_deal_id(TypeId("deal", side.row.Get<Uuid>("id")));
  const std::string& currency = side.row.Get<std::string>("currency_code");
  if (!currency.empty()) {
    // Exact: an amount has at most 15 + 6 digits, and so has the difference of two.
    auto money = MakeMoney(amount, currency);
    if (money.ok()) *changed.mutable_revenue_delta() = *std::move(money);
  }
  changed.set_deal_count_delta(count);
  if (side.won) *changed.mutable_won_time() = ToTimestamp(side.row.Get<absl::Time>("won_time"));
  changed.set_owner_id(increment.owner_id);
  changed.set_pipeline_id(TypeId("pipeline", side.row.Get<Uuid>("pipeline_id")));
  changed.set_stage_id(TypeId("stage", side.row.Get<Uuid>("stage_id")));
  return increment;
}

// Both sides may be missing: a deal that does not exist, or is deleted, counts for nothing.
std::vector<Increment> IncrementsOf(const Row* before, const Row& after) {
  std::optional<Side> old_side, new_side;
  if (before != nullptr && !before->Get<bool>("deleted")) old_side.emplace(*before);
  if (!after.Get<bool>("deleted")) new_side.emplace(after);
  if (old_side && new_side) {
    if (old_side->SameAs(*new_side)) return {};
    if (old_side->Meets(*new_side)) {
      // Shown with the time at which it was won, also when that is taken back.
      const Side& dated = new_side->won ? *new_side : *old_side;
      Increment one = MakeIncrement(dated, new_side->amount - old_side->amount, new_side->won - old_side->won);
      one.changed.set_stage_id(TypeId("stage", after.Get<Uuid>("stage_id")));
      return {one};
    }
  }
  std::vector<Increment> increments;
  if (old_side) increments.push_back(MakeIncrement(*old_side, -old_side->amount, -int{old_side->won}));
  if (new_side) increments.push_back(MakeIncrement(*new_side, new_side->amount, new_side->won));
  return increments;
}

// Every event of a deal carries the deal as it is then; what was before follows from its row.
absl::StatusOr<Changes> OfDeal(const events::v1::Event& event, const deal_pipeline::v1::Deal& deal, const Row* before) {
  Changes changes;
  if (before != nullptr && before->revision() >= int64_t{event.revision()}) return changes;  // seen
  CRM_TRY(Row row, DealRow(event, deal, before));
  changes.increments = IncrementsOf(before, row);
  changes.rows.push_back(row);
  int64_t number = 0;
  for (const auto& line : deal.lines()) {
    CRM_TRY(Row line_row, LineRow(row, ++number, line));
    changes.rows.push_back(std::move(line_row));
  }
  if (before != nullptr) changes.shrinkings.push_back({row.Get<Uuid>("id"), row.revision(), number});
  if (before == nullptr) {
    changes.rows.push_back(EntryRow(row, row.revision(), Value()));
  } else if (before->Get<int64_t>("visit") != row.Get<int64_t>("visit")) {
    changes.rows.push_back(EntryRow(*before, row.revision(), row.At("stage_enter_time")));
    changes.rows.push_back(EntryRow(row, row.revision(), Value()));
  }
  return changes;
}

// ---- what users did ----

// Nothing for what programs did: reports are about employees.
absl::Status AddActivityOf(const std::string& user_id, const events::v1::Event& event, Activity kind,
                           Changes& changes) {
  if (!absl::StartsWith(user_id, "user_")) return absl::OkStatus();
  CRM_TRY(Uuid user, ParseId(user_id, "user", "user_id"));
  Row row(kActivityFact, event.revision());
  row.Set("producer", event.service())
      .Set("seq", static_cast<int64_t>(event.seq()))
      .Set("kind", static_cast<int64_t>(kind))
      .Set("user_id", user)
      .Set("record_id", event.record_id())
      .Set("time", FromTimestamp(event.time()));
  changes.rows.push_back(std::move(row));
  return absl::OkStatus();
}
absl::Status AddActivity(const events::v1::Event& event, Activity kind, Changes& changes) {
  return AddActivityOf(event.actor_id(), event, kind, changes);
}

// ---- names and countries ----

absl::StatusOr<Changes> OfPipeline(const events::v1::Event& event, const deal_pipeline::v1::Pipeline& pipeline) {
  std::vector<Uuid> ids;
  std::vector<std::string> names;
  std::vector<int64_t> kinds;
  for (const auto& stage : pipeline.stages()) {
    CRM_TRY(Uuid id, ParseId(stage.id(), "stage", "pipeline.stages.id"));
    ids.push_back(id);
    names.push_back(stage.name());
    kinds.push_back(stage.kind());
  }
  Changes changes;
  Row row(kPipelineFact, event.revision());
  CRM_TRY(Uuid id, ParseId(pipeline.id(), "pipeline", "pipeline.id"));
  row.Set("id", id)
      .Set("revision", row.revision())
      .Set("name", pipeline.name())
      .Set("stage_ids", std::move(ids))
      .Set("stage_names", std::move(names))
      .Set("stage_kinds", std::move(kinds));
  changes.rows.push_back(std::move(row));
  return changes;
}

absl::StatusOr<Changes> OfProduct(const events::v1::Event& event, const deal_pipeline::v1::Product& product) {
  Changes changes;
  Row row(kProductFact, event.revision());
  CRM_TRY(Uuid id, ParseId(product.id(), "product", "product.id"));
  row.Set("id", id).Set("revision", row.revision()).Set("name", product.name());
  changes.rows.push_back(std::move(row));
  return changes;
}

absl::StatusOr<Changes> OfContact(const events::v1::Event& event, const contact::v1::Contact& contact) {
  Changes changes;
  Row row(kContactFact, event.revision());
  CRM_TRY(Uuid id, ParseId(contact.id(), "contact", "contact.id"));
  CRM_TRY(Value company, Ref(contact.company_id(), "company"));
  row.Set("id", id)
      .Set("revision", row.revision())
      .Set("country_code", contact.country_code())
      .Set("company_id", company);
  changes.rows.push_back(std::move(row));
  return changes;
}

absl::StatusOr<Changes> OfCompany(const events::v1::Event& event, const contact::v1::Company& company) {
  Changes changes;
  Row row(kCompanyFact, event.revision());
  CRM_TRY(Uuid id, ParseId(company.id(), "company", "company.id"));
  row.Set("id", id)
      .Set("revision", row.revision())
      .Set("name", company.name())
      .Set("country_code", company.country_code());
  changes.rows.push_back(std::move(row));
  return changes;
}

absl::StatusOr<Changes> OfTenant(const events::v1::Event& event, const identity::v1::Tenant& tenant) {
  Changes changes;
  Row row(kTenantFact, event.revision());
  row.Set("revision", row.revision()).Set("time_zone", tenant.time_zone()).Set("currency_code", tenant.currency_code());
  changes.rows.push_back(std::move(row));
  return changes;
}

absl::StatusOr<Changes> OfUser(const events::v1::Event& event, const identity::v1::User& user) {
  Changes changes;
  Row row(kUserFact, event.revision());
  CRM_TRY(Uuid id, ParseId(user.id(), "user", "user.id"));
  CRM_TRY(Value team, Ref(user.team_id(), "team"));
  row.Set("id", id).Set("revision", row.revision()).Set("name", user.display_name()).Set("team_id", team);
  changes.rows.push_back(std::move(row));
  return changes;
}

}  // namespace projecting

const std::vector<const Projection*>& Projections() {
  static const auto* all = new std::vector<const Projection*>{
      &kDealFact,    &kDealLineFact, &kStageEntryFact, &kPipelineFact, &kProductFact,
      &kCompanyFact, &kContactFact,  &kUserFact,       &kTenantFact,   &kActivityFact};
  return *all;
}

// ---- deal_pipeline ----

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealCreated& payload,
                                const Row* before) {
  return projecting::OfDeal(event, payload.deal(), before);
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealMoved& payload,
                                const Row* before) {
  CRM_TRY(Changes changes, projecting::OfDeal(event, payload.deal(), before));
  CRM_TRY(projecting::AddActivity(event, Activity::kDealMoved, changes));
  return changes;
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealUpdated& payload,
                                const Row* before) {
  return projecting::OfDeal(event, payload.deal(), before);
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealDeleted& payload,
                                const Row* before) {
  return projecting::OfDeal(event, payload.deal(), before);
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::DealUndeleted& payload,
                                const Row* before) {
  return projecting::OfDeal(event, payload.deal(), before);
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::LeadAccepted&, const Row*) {
  Changes changes;
  CRM_TRY(projecting::AddActivity(event, Activity::kLeadAccepted, changes));
  return changes;
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::PipelineCreated& payload,
                                const Row*) {
  return projecting::OfPipeline(event, payload.pipeline());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::PipelineUpdated& payload,
                                const Row*) {
  return projecting::OfPipeline(event, payload.pipeline());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::ProductCreated& payload,
                                const Row*) {
  return projecting::OfProduct(event, payload.product());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const deal_pipeline::v1::ProductUpdated& payload,
                                const Row*) {
  return projecting::OfProduct(event, payload.product());
}

// ---- contact ----

absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::ContactCreated& payload,
                                const Row*) {
  CRM_TRY(Changes changes, projecting::OfContact(event, payload.contact()));
  CRM_TRY(projecting::AddActivity(event, Activity::kRecordCreated, changes));
  return changes;
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::ContactUpdated& payload,
                                const Row*) {
  return projecting::OfContact(event, payload.contact());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::CompanyCreated& payload,
                                const Row*) {
  CRM_TRY(Changes changes, projecting::OfCompany(event, payload.company()));
  CRM_TRY(projecting::AddActivity(event, Activity::kRecordCreated, changes));
  return changes;
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const contact::v1::CompanyUpdated& payload,
                                const Row*) {
  return projecting::OfCompany(event, payload.company());
}

// ---- messaging and scheduler ----

absl::StatusOr<Changes> Project(const events::v1::Event& event, const messaging::v1::MessageSent& payload, const Row*) {
  Changes changes;
  CRM_TRY(projecting::AddActivityOf(payload.message().author_id(), event, Activity::kMessageSent, changes));
  return changes;
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const messaging::v1::MessageReceived& payload,
                                const Row*) {
  Changes changes;
  CRM_TRY(projecting::AddActivityOf(payload.message().owner_id(), event, Activity::kMessageReceived, changes));
  return changes;
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const scheduler::v1::TaskCompleted& payload,
                                const Row*) {
  Changes changes;
  // Completed by a rule, it counts for whose it was.
  const bool by_user = absl::StartsWith(event.actor_id(), "user_");
  CRM_TRY(projecting::AddActivityOf(by_user ? event.actor_id() : payload.task().owner_id(), event,
                                    Activity::kTaskCompleted, changes));
  return changes;
}

// ---- identity ----

absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::TenantCreated& payload,
                                const Row*) {
  return projecting::OfTenant(event, payload.tenant());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::TenantUpdated& payload,
                                const Row*) {
  return projecting::OfTenant(event, payload.tenant());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::UserCreated& payload, const Row*) {
  return projecting::OfUser(event, payload.user());
}

absl::StatusOr<Changes> Project(const events::v1::Event& event, const identity::v1::UserUpdated& payload, const Row*) {
  return projecting::OfUser(event, payload.user());
}

}  // namespace crm::analytics
