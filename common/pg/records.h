// What the standard rpcs of every record have in common, so that their handlers say only what is particular.
#pragma once

#include <absl/strings/numbers.h>

#include <string>
#include <utility>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/time.h"
#include "common/pg/db.h"
#include "common/pg/table.h"

namespace crm::pg {

// A record as its reader may see it: with `access`, personal fields masked.
template <typename M>
M Shown(const Call& call, const RecordTable& table, M record) {
  FillAccess(call, table, record);
  Mask(call, record);
  return record;
}

// Get<Record>.
template <typename M>
Async<M> GetShown(Db& db, const Call& call, const Table<M>& table, std::string id) {
  CRM_CO_TRY(M record, co_await db.Get(call, table, std::move(id)));
  co_return Shown(call, table, std::move(record));
}

// Get<Record> of a request that may ask for a moment. What is gone by cannot be changed: its `access` tells only what is
// masked.
template <typename M, typename Request>
Async<M> GetShownAsOf(Db& db, const Call& call, const Table<M>& table, const Request& request) {
  if (!request.has_as_of()) co_return co_await GetShown(db, call, table, request.id());
  CRM_CO_TRY(M record, co_await GetAsOf(db, call, table, request.id(), FromTimestamp(request.as_of())));
  Mask(call, record);
  co_return record;
}

// List<Records>: the standard request fields in, a page into the response's repeated field `items` out. `access` is
// filled per item for view FULL only.
template <typename Response, typename Request, typename M>
Async<Response> ListShown(Db& db, const Call& call, const Table<M>& table, const Request& request,
                          google::protobuf::RepeatedPtrField<M>* (Response::*items)(), ListArgs args) {
  CRM_CO_TRY(Page<M> page, co_await db.List(call, table, std::move(args)));
  Response response;
  bool full = false;
  if constexpr (requires { request.view(); }) full = request.view() == type::v1::VIEW_FULL;
  auto* list = (response.*items)();
  list->Reserve(static_cast<int>(page.items.size()));
  for (M& record : page.items) {
    if (full) FillAccess(call, table, record);
    Mask(call, record);
    *list->Add() = std::move(record);
  }
  response.set_next_page_token(std::move(page.next_page_token));
  if (page.total_size) response.set_total_size(*page.total_size);
  co_return response;
}
template <typename Response, typename Request, typename M>
Async<Response> ListShown(Db& db, const Call& call, const Table<M>& table, const Request& request,
                          google::protobuf::RepeatedPtrField<M>* (Response::*items)()) {
  return ListShown(db, call, table, request, items, ListArgsOf(request));
}

// ListShown for a handler that answers the page as it is. Each record goes from its row to the wire's bytes without ever
// being a message, which saves a fifth of the list's time (docs/PERFORMANCE.md): the response's records are to be had
// from its bytes only, its repeated field is empty. As of another moment nothing can be done, whatever the view.
template <typename Response, typename Request>
Async<Response> ListReply(Db& db, const Call& call, const RecordTable& table, const Request& request, ListArgs args) {
  bool full = false;
  if constexpr (requires { request.view(); }) full = request.view() == type::v1::VIEW_FULL && !args.as_of;
  Response response;
  CRM_CO_TRY(co_await internal::ListEncoded(db, call, table, std::move(args), full, response));
  co_return response;
}
template <typename Response, typename Request>
Async<Response> ListReply(Db& db, const Call& call, const RecordTable& table, const Request& request) {
  return ListReply<Response>(db, call, table, request, ListArgsOf(request));
}

// Delete<Record> and Undelete<Record>, up to the write: the record as it is and as it shall be. Deleting what is
// deleted, and restoring what lives, is FAILED_PRECONDITION.
template <typename M>
struct Change {
  M before;
  M after;
};
template <typename M>
Async<Change<M>> Deleting(Db& db, const Call& call, const Table<M>& table, std::string id, std::string etag) {
  Change<M> change;
  CRM_CO_TRY(change.before, co_await db.Get(call, table, std::move(id), type::v1::ACTION_DELETE));
  CRM_CO_TRY(CheckEtag(change.before, etag));
  change.after = change.before;
  *change.after.mutable_delete_time() = ToTimestamp(call.now());
  Touch(call, change.before, change.after);
  co_return change;
}
template <typename M>
Async<Change<M>> Undeleting(Db& db, const Call& call, const Table<M>& table, std::string id, std::string etag) {
  Change<M> change;
  CRM_CO_TRY(change.before,
             co_await db.Get(call, table, std::move(id), type::v1::ACTION_DELETE, /*show_deleted=*/true));
  CRM_CO_TRY(CheckEtag(change.before, etag));
  if (!change.before.has_delete_time()) co_return StateError("the record is not deleted; there is nothing to restore");
  change.after = change.before;
  change.after.clear_delete_time();
  Touch(call, change.before, change.after);
  co_return change;
}

// List<Record>Revisions: newest first; the page token is the revision to go on below.
template <typename Response, typename Request>
Async<Response> ListRevisions(Db& db, const Call& call, const RecordTable& table, const Request& request) {
  uint32_t below = 0;
  if (!request.page_token().empty() && (!absl::SimpleAtoi(request.page_token(), &below) || below == 0)) {
    co_return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_PAGE_TOKEN_INVALID,
                    "the page token is not one of this list; begin again without it");
  }
  const int limit = request.page_size() == 0 ? kPageSizeDefault : request.page_size();
  CRM_CO_TRY(auto revisions, co_await History(db, call, table, request.id(), limit, below));
  Response response;
  for (auto& revision : revisions) *response.add_revisions() = std::move(revision);
  if (response.revisions_size() == limit) {
    const std::string& last = response.revisions(limit - 1).etag();
    if (last != "1") response.set_next_page_token(last);
  }
  co_return response;
}

}  // namespace crm::pg
