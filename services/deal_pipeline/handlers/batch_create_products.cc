#include <absl/strings/str_cat.h>

#include "common/base/status.h"
#include "common/pg/records.h"
#include "common/rpc/status.h"
#include "services/deal_pipeline/rules/products.h"
#include "services/deal_pipeline/service.h"
#include "services/deal_pipeline/store.h"

namespace crm::deal_pipeline {

// Makes up to 500 products; each has a status of its own. As for deals: together if nothing is in the way, else one by
// one.
Async<v1::BatchCreateProductsResponse> ProductService::BatchCreateProducts(
    Call& call, const v1::BatchCreateProductsRequest& request) {
  v1::BatchCreateProductsResponse response;
  std::vector<std::pair<int, v1::Product>> good;
  for (int i = 0; i < request.requests_size(); ++i) {
    auto* result = response.add_results();
    v1::Product product = request.requests(i).product();
    if (absl::Status status = Normalize(product, call.currency_code); !status.ok()) {
      *result->mutable_error() = rpc::ToProto(status);
      continue;
    }
    pg::StampNew(call, products_, product);
    good.emplace_back(i, std::move(product));
  }
  auto together = co_await db_.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<v1::BatchCreateProductsResponse> {
    v1::BatchCreateProductsResponse reply = response;
    for (const auto& [i, product] : good) {
      AddProduct(batch, products_, product);
      *reply.mutable_results(i)->mutable_product() = product;
    }
    return reply;
  });
  if (!absl::IsAlreadyExists(together.status())) co_return together;

  for (const auto& [i, product] : good) {
    Call item = call;
    item.idempotency_key = absl::StrCat(call.idempotency_key, "/", i);
    auto made = co_await db_.Once(item, [&](pg::Batch& batch) -> absl::StatusOr<v1::Product> {
      AddProduct(batch, products_, product);
      return product;
    });
    if (made.ok()) {
      *response.mutable_results(i)->mutable_product() = *std::move(made);
      continue;
    }
    const absl::Status named = co_await pg::NameExisting(db_, call, products_, made.status(), product);
    if (!absl::IsAlreadyExists(named)) co_return named;
    *response.mutable_results(i)->mutable_error() = rpc::ToProto(named);
  }
  co_return response;
}

}  // namespace crm::deal_pipeline
