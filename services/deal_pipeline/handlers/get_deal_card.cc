#include <algorithm>

#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

namespace {

// What of each kind a card shows at once.
constexpr int kCardTasksMax = 10;
constexpr int kCardVisitsMax = 50;

}  // namespace

// Answers a deal with its pipeline, its way through the stages and its open tasks.
Async<v1::DealCard> CardService::GetDealCard(Call& call, const v1::GetDealCardRequest& request) {
  CRM_CO_TRY(v1::Deal deal, co_await db_.Get(call, deals_, request.id()));
  const Uuid id = UuidOf(deal.id());
  v1::DealCard card;
  pg::Batch batch(call);
  batch.Add(sql::kListVisits, pg::Params().Id(id));
  batch.Add(sql::kCardTasks, pg::Params().Id(id).Int(pg::ReadReaches(call, "task", deal) ? kCardTasksMax : 0));
  CRM_CO_TRY(auto rows, co_await db_.Read(call, std::move(batch)));
  for (int i = std::max(0, rows[0].size() - kCardVisitsMax); i < rows[0].size(); ++i) {
    auto* visit = card.add_visits();
    visit->set_stage_id(TypeId("stage", rows[0].Id(i, 0)));
    visit->set_stage_name(std::string(rows[0].Text(i, 1)));
    *visit->mutable_enter_time() = ToTimestamp(rows[0].Time(i, 2));
    if (!rows[0].IsNull(i, 3)) *visit->mutable_leave_time() = ToTimestamp(rows[0].Time(i, 3));
    visit->set_actor_id(std::string(rows[0].Text(i, 4)));
  }
  for (int i = 0; i < rows[1].size(); ++i) {
    auto* task = card.add_open_tasks();
    task->set_id(TypeId("task", rows[1].Id(i, 0)));
    task->set_title(std::string(rows[1].Text(i, 1)));
    if (!rows[1].IsNull(i, 2)) *task->mutable_due_time() = ToTimestamp(rows[1].Time(i, 2));
    task->set_overdue(rows[1].Bool(i, 3));
  }
  auto pipeline = co_await db_.Get(call, pipelines_, deal.pipeline_id(), type::v1::ACTION_READ, /*show_deleted=*/true);
  if (pipeline.ok()) *card.mutable_pipeline() = pg::Shown(call, pipelines_, *std::move(pipeline));
  *card.mutable_deal() = pg::Shown(call, deals_, std::move(deal));
  co_return card;
}

}  // namespace crm::deal_pipeline
