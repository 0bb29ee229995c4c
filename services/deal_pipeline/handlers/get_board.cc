#include <algorithm>
#include <map>

#include "common/base/decimal.h"
#include "common/base/status.h"
#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/sql.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

namespace {

// Cards per stage: what a screen shows before anyone scrolls.
constexpr int kCardsDefault = 20;

// Parameters that narrow totals and cards to what the caller may see, $2 to $5 of both statements.
pg::Params& AddScope(pg::Params& params, const Call& call, const std::string& owner_id) {
  const auto user = ParseId(call.principal.user_id);
  params.Int(call.ScopeOf("deal", type::v1::ACTION_READ))
      .Id(user.ok() ? user->uuid : Uuid{})
      .IdArray(call.principal.teams);
  return owner_id.empty() ? params.Null() : params.Id(UuidOf(owner_id));
}

// total x probability, rounded to the currency's smallest unit: a forecast, not a bill.
absl::StatusOr<type::v1::Money> Weighted(const type::v1::Money& sum, int probability) {
  CRM_TRY(type::v1::Money hundredfold, Multiply(sum, Decimal(probability)));
  CRM_TRY(type::v1::Money weighted, Multiply(hundredfold, *Decimal::Parse("0.01")));
  return Round(weighted);
}

}  // namespace

// Answers every stage with count, sums and its newest cards: totals and card ids in one round trip, the cards in
// another.
Async<v1::Board> PipelineService::GetBoard(Call& call, const v1::GetBoardRequest& request) {
  CRM_CO_TRY(v1::Pipeline pipeline, co_await db_.Get(call, pipelines_, request.pipeline_id()));
  const int size = request.page_size() == 0 ? kCardsDefault : request.page_size();

  std::vector<Uuid> stages;
  std::map<Uuid, v1::BoardColumn*> columns;
  v1::Board board;
  for (const auto& stage : pipeline.stages()) {
    stages.push_back(UuidOf(stage.id()));
    auto* column = board.add_columns();
    column->set_stage_id(stage.id());
    columns[stages.back()] = column;
  }

  pg::Batch batch(call);
  pg::Params totals, cards;
  AddScope(totals.IdArray(stages), call, request.owner_id());
  AddScope(cards.IdArray(stages), call, request.owner_id()).Int(size + 1);
  batch.Add(sql::kBoardTotals, std::move(totals));
  batch.Add(sql::kBoardCards, std::move(cards));
  pg::Db::ReadOptions options;
  options.work = pg::Work::kList;
  options.force_custom_plan = true;
  options.statement_timeout = pg::kListTimeout;
  CRM_CO_TRY(auto results, co_await db_.Read(call, std::move(batch), options));

  for (int i = 0; i < results[0].size(); ++i) {
    v1::BoardColumn& column = *columns.at(results[0].Id(i, 0));
    column.set_count(column.count() + static_cast<int32_t>(results[0].Int(i, 2)));
    const std::string currency(results[0].Text(i, 1));
    if (currency.empty()) continue;
    CRM_CO_TRY(Decimal amount, Decimal::Parse(results[0].Decimal(i, 3)));
    if (amount.IsZero()) continue;
    CRM_CO_TRY(*column.add_sums(), MakeMoney(amount, currency));
  }
  for (int i = 0; i < board.columns_size(); ++i) {
    for (const auto& sum : board.columns(i).sums()) {
      CRM_CO_TRY(*board.mutable_columns(i)->add_weighted_sums(), Weighted(sum, pipeline.stages(i).probability()));
    }
  }

  std::vector<std::string> ids;
  std::map<Uuid, int> shown;
  for (int i = 0; i < results[1].size(); ++i) {
    const Uuid stage = results[1].Id(i, 0);
    if (++shown[stage] > size) {
      columns.at(stage)->set_more(true);
    } else {
      ids.push_back(TypeId("deal", results[1].Id(i, 1)));
    }
  }
  for (size_t from = 0; from < ids.size(); from += pg::kPageSizeMax) {
    const size_t to = std::min<size_t>(from + pg::kPageSizeMax, ids.size());
    CRM_CO_TRY(auto deals,
               co_await db_.BatchGet(call, deals_, std::vector<std::string>(ids.begin() + from, ids.begin() + to)));
    for (auto& deal : deals) {
      auto column = columns.find(UuidOf(deal.stage_id()));
      // Moved between the two reads: it shows at the next look.
      if (column == columns.end()) continue;
      pg::Mask(call, deal);
      *column->second->add_deals() = std::move(deal);
    }
  }
  *board.mutable_pipeline() = pg::Shown(call, pipelines_, std::move(pipeline));
  co_return board;
}

}  // namespace crm::deal_pipeline
