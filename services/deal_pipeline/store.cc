#include "services/deal_pipeline/store.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <set>

#include "common/base/error.h"
#include "common/base/time.h"
#include "services/deal_pipeline/sql.h"

namespace crm::deal_pipeline {
namespace {

// A company that has just signed up gets its pipelines by event, a moment later: its first deal waits so long.
constexpr std::chrono::milliseconds kFirstPipelineWait{3000};
constexpr std::chrono::milliseconds kFirstPipelinePoll{50};

pg::UniqueKey ByText(const std::string& constraint, const std::string& object, const std::string& column) {
  return {constraint, object + "." + column,
          pg::Statement{"deal_pipeline.find_" + object + "_by_" + column,
                        "SELECT id FROM " + object + "_view WHERE " + column + " = $1 AND delete_time IS NULL"},
          [column](const google::protobuf::Message& record) {
            return pg::Params().Text(
                record.GetReflection()->GetString(record, record.GetDescriptor()->FindFieldByName(column)));
          }};
}

}  // namespace

Tables::Tables() {
  deals.AddUniqueKey(pg::ByExternalId("deal"));
  products.AddUniqueKey(pg::ByExternalId("product"));
  products.AddUniqueKey(ByText("product_sku", "product", "sku"));
  pipelines.AddUniqueKey(ByText("pipeline_name", "pipeline", "name"));
}

void AddTotals(pg::Batch& batch, const v1::Deal* before, const v1::Deal* after) {
  const int slice = UuidOf((after != nullptr ? after : before)->id()).bucket() % kTotalSlices;
  for (const TotalDelta& delta : TotalDeltas(before, after)) {
    batch.Add(sql::kAddToTotal, pg::Params()
                                    .Id(batch.call().tenant())
                                    .Id(UuidOf(delta.stage_id))
                                    .Id(UuidOf(delta.owner_id))
                                    .Id(UuidOf(delta.team_id))
                                    .Text(delta.currency_code)
                                    .Int(slice)
                                    .Int(delta.count)
                                    .Decimal(delta.amount));
  }
}

void BeginVisit(pg::Batch& batch, const v1::Deal& deal, const std::string& stage_name, const std::string& actor_id) {
  batch.Add(sql::kBeginVisit, pg::Params()
                                  .Id(batch.call().tenant())
                                  .Id(UuidOf(deal.id()))
                                  .Id(UuidOf(deal.stage_id()))
                                  .Text(stage_name)
                                  .Time(FromTimestamp(deal.stage_enter_time()))
                                  .Text(actor_id));
}

void AddDeal(pg::Batch& batch, const pg::Table<v1::Deal>& deals, const v1::Deal& deal, const v1::Pipeline& pipeline,
             bool imported) {
  batch.Insert(deals, deal);
  pg::AddExternalIds(batch, "deal", deal);
  const v1::Stage* stage = FindStage(pipeline, deal.stage_id());
  BeginVisit(batch, deal, stage == nullptr ? "" : stage->name(), batch.call().principal.user_id);
  AddTotals(batch, nullptr, &deal);
  v1::DealCreated event;
  *event.mutable_deal() = deal;
  event.set_imported(imported);
  batch.Emit(pg::EventOf(deals, "created", deal), event);
}

void ChangeDeal(pg::Batch& batch, const pg::Table<v1::Deal>& deals, const v1::Deal& before, const v1::Deal& after,
                const std::string& what, const google::protobuf::Message& event, type::v1::Action action) {
  deals.AddUpdate(batch, before, after, action);
  pg::ReplaceExternalIds(batch, "deal", before, after);
  AddTotals(batch, &before, &after);
  pg::NewEvent about = pg::EventOf(deals, what, after);
  about.changed_fields = pg::ChangedFields(before, after);
  batch.Emit(about, event);
}

void AddProduct(pg::Batch& batch, const pg::Table<v1::Product>& products, const v1::Product& product) {
  batch.Insert(products, product);
  pg::AddExternalIds(batch, "product", product);
  v1::ProductCreated event;
  *event.mutable_product() = product;
  batch.Emit(pg::EventOf(products, "created", product), event);
}

void AddLead(pg::Batch& batch, const pg::Table<v1::Lead>& leads, const v1::Lead& lead) {
  batch.Insert(leads, lead);
  v1::LeadCreated event;
  *event.mutable_lead() = lead;
  batch.Emit(pg::EventOf(leads, "created", lead), event);
}

void ChangeLead(pg::Batch& batch, const pg::Table<v1::Lead>& leads, const v1::Lead& before, const v1::Lead& after,
                const std::string& what, const google::protobuf::Message& event) {
  batch.Update(leads, before, after);
  pg::NewEvent about = pg::EventOf(leads, what, after);
  about.changed_fields = pg::ChangedFields(before, after);
  batch.Emit(about, event);
}

absl::Status CheckNew(const v1::Lead& lead) {
  if (lead.status() == v1::LEAD_STATUS_NEW) return absl::OkStatus();
  return StateError(absl::StrCat("the lead is not waiting any more: ", v1::LeadStatus_Name(lead.status())),
                    {{"status", v1::LeadStatus_Name(lead.status())}, {"deal_id", lead.deal_id()}});
}

v1::Form WithPath(const Call& call, v1::Form form) {
  form.set_submit_path(absl::StrCat("/v1/public/", call.principal.tenant_id(), "/forms/", form.id(), ":submit"));
  return form;
}

bool OtherDefaultCame(const absl::Status& status) {
  if (!absl::IsAlreadyExists(status)) return false;
  const Metadata metadata = MetadataOf(status);
  const auto constraint = metadata.find("constraint");
  return constraint != metadata.end() && constraint->second == "pipeline_default";
}

Async<v1::Pipeline> PipelineOf(pg::Db& db, const Call& call, const pg::Table<v1::Pipeline>& pipelines, std::string id,
                               std::string field) {
  if (id.empty()) {
    CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kFindDefaultPipeline, pg::Params()));
    for (auto waited = std::chrono::milliseconds::zero(); rows.empty() && waited < kFirstPipelineWait;
         waited += kFirstPipelinePoll) {
      asio::steady_timer timer(co_await asio::this_coro::executor, kFirstPipelinePoll);
      boost::system::error_code cancelled;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
      if (cancelled) break;
      CRM_CO_TRY(rows, co_await db.Read(call, sql::kFindDefaultPipeline, pg::Params()));
    }
    if (rows.empty()) {
      co_return StateError("there is no default pipeline yet; name one, or wait a moment after sign-up",
                           {{"field", field}});
    }
    id = TypeId("pipeline", rows.Id(0, 0));
  }
  auto pipeline = co_await db.Get(call, pipelines, id);
  if (absl::IsNotFound(pipeline.status())) co_return FieldError(field, absl::StrCat("there is no pipeline ", id));
  co_return pipeline;
}

Async<std::map<std::string, v1::Product>> ProductsOf(pg::Db& db, const Call& call,
                                                     const pg::Table<v1::Product>& products,
                                                     std::vector<const v1::Deal*> deals) {
  // One read has at most this many ids.
  constexpr size_t kIdsMax = 500;
  std::set<std::string> wanted;
  for (const v1::Deal* deal : deals) {
    for (const auto& line : deal->lines()) {
      if (!line.product_id().empty()) wanted.insert(line.product_id());
    }
  }
  const std::vector<std::string> ids(wanted.begin(), wanted.end());
  std::map<std::string, v1::Product> found;
  for (size_t from = 0; from < ids.size(); from += kIdsMax) {
    const size_t to = std::min(from + kIdsMax, ids.size());
    CRM_CO_TRY(auto some,
               co_await db.BatchGet(call, products, std::vector<std::string>(ids.begin() + from, ids.begin() + to)));
    for (auto& product : some) {
      std::string id = product.id();
      found.emplace(std::move(id), std::move(product));
    }
  }
  co_return found;
}

}  // namespace crm::deal_pipeline
