// A page of search results: ranked ids, then the records that the caller may read, in rank.
#pragma once

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "common/pg/records.h"
#include "services/contact/store.h"

namespace crm::contact {

// The page token is the place to go on from. A filter does not mix with a query, nor an order: the rank is the order.
template <typename Response, typename Request, typename Record>
Async<Response> SearchPage(pg::Db& db, const Call& call, const pg::Table<Record>& table, const Request& request,
                           google::protobuf::RepeatedPtrField<Record>* (Response::*items)()) {
  if (!request.order_by().empty())
    co_return FieldError("order_by", "cannot be combined with query: results are ranked");
  if (!request.filter().empty()) co_return FieldError("filter", "cannot be combined with query; use one of the two");
  if (request.has_as_of()) co_return FieldError("as_of", "cannot be combined with query: what is searched is of now");
  size_t from = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &from)) {
    co_return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_PAGE_TOKEN_INVALID,
                    "the page token is not one of this search; begin again without it");
  }
  const size_t size = request.page_size() == 0 ? pg::kPageSizeDefault : std::min(request.page_size(), pg::kPageSizeMax);

  CRM_CO_TRY(auto ids, co_await Search(db, call, table.prefix(), request.query()));
  Response response;
  if (request.count() != type::v1::COUNT_UNSPECIFIED && request.count() != type::v1::COUNT_NONE) {
    response.set_total_size(static_cast<int32_t>(ids.size()));
  }
  const size_t begin = std::min(from, ids.size());
  const size_t end = std::min(begin + size, ids.size());
  if (end < ids.size()) response.set_next_page_token(absl::StrCat(end));
  CRM_CO_TRY(auto found,
             co_await db.BatchGet(call, table, std::vector<std::string>(ids.begin() + begin, ids.begin() + end)));
  for (Record& record : found) {
    if (request.view() == type::v1::VIEW_FULL) pg::FillAccess(call, table, record);
    pg::Mask(call, record);
    *(response.*items)()->Add() = std::move(record);
  }
  co_return response;
}

}  // namespace crm::contact
