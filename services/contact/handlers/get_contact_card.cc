#include <absl/strings/str_cat.h>

#include "common/base/decimal.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/contact/handlers/notes.h"
#include "services/contact/service.h"
#include "services/contact/sql.h"
#include "services/contact/visibility.h"

namespace crm::contact {
namespace {

// What of each kind a card shows at once.
constexpr int kCardItemsMax = 10;

pg::Params DealParams(const Call& call, const Uuid& contact) {
  const auto user = ParseId(call.principal.user_id, "user", "user_id");
  pg::Params params;
  params.Id(contact)
      .Int(call.ScopeOf("deal", type::v1::ACTION_READ))
      .Id(user.ok() ? *user : Uuid{})
      .IdArray(call.principal.teams);
  return params;
}

absl::StatusOr<v1::CardDeal> DealAt(const pg::Rows& rows, int i) {
  v1::CardDeal deal;
  deal.set_id(TypeId("deal", rows.Id(i, 0)));
  deal.set_title(std::string(rows.Text(i, 1)));
  if (!rows.IsNull(i, 2)) deal.set_pipeline_id(TypeId("pipeline", rows.Id(i, 2)));
  if (!rows.IsNull(i, 3)) deal.set_stage_id(TypeId("stage", rows.Id(i, 3)));
  if (!rows.IsNull(i, 4)) deal.set_owner_id(TypeId("user", rows.Id(i, 4)));
  if (!rows.IsNull(i, 5)) {
    CRM_TRY(Decimal amount, Decimal::Parse(rows.Decimal(i, 5)));
    CRM_TRY(*deal.mutable_amount(), MakeMoney(amount, rows.Text(i, 6)));
  }
  *deal.mutable_create_time() = ToTimestamp(rows.Time(i, 7));
  return deal;
}

// The newest of a list that hangs on the contact, as far as the caller may see it.
pg::ListArgs Newest(const Call& call, const std::string& contact_id, const std::string& object,
                    const std::string& order) {
  pg::ListArgs args;
  args.filter = absl::StrCat("contact_id = \"", contact_id, "\"");
  args.default_order = order;
  args.page_size = kCardItemsMax;
  const pg::Fragment visible = Visible(call, object);
  args.where = visible.sql;
  args.where_params = visible.params;
  return args;
}

}  // namespace

// Answers a contact with its open deals, tasks, notes on top and the beginning of its timeline.
Async<v1::ContactCard> CardService::GetContactCard(Call& call, const v1::GetContactCardRequest& request) {
  CRM_CO_TRY(v1::Contact contact, co_await db_.Get(call, contacts_, request.id()));
  co_return co_await CardOf(call, std::move(contact));
}

Async<v1::ContactCard> CardService::CardOf(const Call& call, v1::Contact contact) {
  const std::string id = contact.id();
  CRM_CO_TRY(const Uuid uuid, ParseId(id, "contact", "id"));
  const bool tasks = pg::ReadReaches(call, "task", contact);
  v1::ContactCard card;
  *card.mutable_contact() = pg::Shown(call, contacts_, std::move(contact));

  pg::Batch batch(call);
  batch.Add(sql::kCardDeals, DealParams(call, uuid).Int(kCardItemsMax));
  batch.Add(sql::kCardDealSums, DealParams(call, uuid));
  batch.Add(sql::kCardTasks, pg::Params().Id(uuid).Int(tasks ? kCardItemsMax : 0));
  pg::Db::ReadOptions options;
  options.work = pg::Work::kList;
  options.force_custom_plan = true;
  options.statement_timeout = pg::kListTimeout;
  CRM_CO_TRY(auto rows, co_await db_.Read(call, std::move(batch), options));
  for (int i = 0; i < rows[0].size(); ++i) {
    CRM_CO_TRY(*card.add_open_deals(), DealAt(rows[0], i));
  }
  for (int i = 0; i < rows[1].size(); ++i) {
    card.set_open_deal_count(card.open_deal_count() + static_cast<int32_t>(rows[1].Int(i, 1)));
    if (rows[1].Text(i, 0).empty() || rows[1].IsNull(i, 2)) continue;
    CRM_CO_TRY(Decimal sum, Decimal::Parse(rows[1].Decimal(i, 2)));
    CRM_CO_TRY(*card.add_open_deal_sums(), MakeMoney(sum, rows[1].Text(i, 0)));
  }
  for (int i = 0; i < rows[2].size(); ++i) {
    auto* task = card.add_open_tasks();
    task->set_id(TypeId("task", rows[2].Id(i, 0)));
    task->set_title(std::string(rows[2].Text(i, 1)));
    if (!rows[2].IsNull(i, 2)) *task->mutable_due_time() = ToTimestamp(rows[2].Time(i, 2));
    task->set_overdue(rows[2].Bool(i, 3));
  }

  if (call.ScopeOf("note", type::v1::ACTION_READ) != type::v1::SCOPE_UNSPECIFIED) {
    pg::ListArgs pinned = Newest(call, id, "'note'", "create_time desc");
    absl::StrAppend(&pinned.filter, " AND pinned = true");
    CRM_CO_TRY(auto notes, co_await db_.List(call, notes_, std::move(pinned)));
    for (auto& note : notes.items) *card.add_pinned_notes() = ShownNote(call, notes_, std::move(note));
  }
  CRM_CO_TRY(auto entries, co_await db_.List(call, activities_, Newest(call, id, "t.object", "time desc")));
  for (auto& entry : entries.items) {
    pg::Mask(call, entry);
    *card.add_activities() = std::move(entry);
  }
  co_return card;
}

}  // namespace crm::contact
