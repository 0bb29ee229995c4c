#include <absl/strings/str_replace.h>

#include "common/pg/records.h"
#include "services/deal_pipeline/service.h"

namespace crm::deal_pipeline {

// Lists products by filter and order, or those whose name or SKU has what was typed.
Async<v1::ListProductsResponse> ProductService::ListProducts(Call& call, const v1::ListProductsRequest& request) {
  pg::ListArgs args = pg::ListArgsOf(request);
  if (!request.query().empty()) {
    const std::string part =
        "%" + absl::StrReplaceAll(request.query(), {{"\\", "\\\\"}, {"%", "\\%"}, {"_", "\\_"}}) + "%";
    args.where = "(t.name ILIKE $1 OR t.sku ILIKE $1)";
    args.where_params.Text(part);
  }
  co_return co_await pg::ListReply<v1::ListProductsResponse>(db_, call, products_, request, std::move(args));
}

}  // namespace crm::deal_pipeline
