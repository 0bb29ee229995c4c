#include <absl/strings/str_cat.h>

#include <map>

#include "common/app/members.h"
#include "common/base/status.h"
#include "common/rpc/status.h"
#include "services/deal_pipeline/rules/pricing.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Makes deals of the past. All that can be stored goes in one transaction; if one of them meets an external id that is
// taken, they go one by one, each under a key derived from the request's and its place, so that a repeat ends alike.
Async<v1::ImportDealsResponse> DealService::ImportDeals(Call& call, const v1::ImportDealsRequest& request) {
  std::vector<const v1::Deal*> wanted;
  for (const auto& item : request.deals()) wanted.push_back(&item.deal());
  CRM_CO_TRY(auto products, co_await ProductsOf(db_, call, products_, wanted));
  std::map<std::string, absl::StatusOr<v1::Pipeline>> pipelines;

  v1::ImportDealsResponse response;
  std::vector<std::pair<int, v1::Deal>> good;
  for (int i = 0; i < request.deals_size(); ++i) {
    auto* result = response.add_results();
    v1::Deal deal = request.deals(i).deal();
    auto known = pipelines.find(deal.pipeline_id());
    if (known == pipelines.end()) {
      auto found = co_await PipelineOf(db_, call, pipelines_, deal.pipeline_id(), "deal.pipeline_id");
      known = pipelines.emplace(deal.pipeline_id(), std::move(found)).first;
    }
    absl::Status status = known->second.status();
    if (status.ok()) {
      deal.set_pipeline_id(known->second->id());
      status = Price(deal, products, call.currency_code);
    }
    if (status.ok()) status = EnterImported(deal, *known->second, request.deals(i));
    if (status.ok()) status = co_await app::FillTeam(db_, call, deal);
    if (status.ok()) {
      pg::StampNew(call, deals_, deal);
      good.emplace_back(i, std::move(deal));
    } else if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
      co_return status;
    } else {
      *result->mutable_error() = rpc::ToProto(status);
    }
  }
  const auto add = [&](pg::Batch& batch, int i, const v1::Deal& deal) {
    AddDeal(batch, deals_, deal, *pipelines.at(request.deals(i).deal().pipeline_id()), /*imported=*/true);
  };

  auto together = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::ImportDealsResponse> {
    v1::ImportDealsResponse reply = response;
    for (const auto& [i, deal] : good) {
      add(batch, i, deal);
      reply.mutable_results(i)->set_id(deal.id());
    }
    return reply;
  });
  if (!absl::IsAlreadyExists(together.status())) co_return together;

  for (const auto& [i, deal] : good) {
    Call item = call;
    item.idempotency_key = absl::StrCat(call.idempotency_key, "/", i);
    auto made = co_await db_.Once(item, [&](pg::Batch& batch) -> absl::StatusOr<v1::Deal> {
      add(batch, i, deal);
      return deal;
    });
    if (made.ok()) {
      response.mutable_results(i)->set_id(made->id());
      continue;
    }
    const absl::Status named = co_await pg::NameExisting(db_, call, deals_, made.status(), deal);
    // What passes (no connection, overload) is the whole call's error: repeating it does the rest.
    if (!absl::IsAlreadyExists(named)) co_return named;
    *response.mutable_results(i)->mutable_error() = rpc::ToProto(named);
  }
  co_return response;
}

}  // namespace crm::deal_pipeline
