// Many records in one request, each with a status of its own.
#pragma once

#include <absl/strings/str_cat.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/pg/records.h"
#include "common/rpc/status.h"
#include "services/contact/store.h"

namespace crm::contact {

// All items that stand alone are stored in one transaction. If one of them meets another (an external id that is
// taken), the items are stored one by one instead, each under a key derived from the request's and its place, so that
// repeating the request after a crash in the middle gives the same outcome.
template <typename Response, typename Created, typename Request, typename Item, typename Record>
Async<Response> BatchCreate(pg::Db& db, const Call& call, const pg::Table<Record>& table, const Request& request,
                            const Record& (Item::*record_of)() const, Record* (Response::Result::*result_record)(),
                            Record* (Created::*event_record)()) {
  Response response;
  std::set<std::string> companies;
  for (const Item& item : request.requests()) companies.insert(CompanyOf((item.*record_of)()));
  CRM_CO_TRY(const auto missing, co_await MissingCompanies(db, call, std::move(companies)));
  std::vector<std::pair<int, Record>> good;
  for (int i = 0; i < request.requests_size(); ++i) {
    auto* result = response.add_results();
    Record wanted = (request.requests(i).*record_of)();
    auto record = co_await NewRecord(db, call, table, std::move(wanted), missing);
    if (absl::IsUnavailable(record.status()) || absl::IsDeadlineExceeded(record.status())) co_return record.status();
    if (record.ok()) {
      good.emplace_back(i, *std::move(record));
    } else {
      *result->mutable_error() = rpc::ToProto(record.status());
    }
  }
  const auto add = [&](pg::Batch& batch, const Record& record) {
    Created event;
    *(event.*event_record)() = record;
    AddCreated(batch, table, record, event);
  };

  auto together = co_await db.Once(call, [&](pg::Batch& batch) -> absl::StatusOr<Response> {
    Response reply = response;
    for (const auto& [i, record] : good) {
      add(batch, record);
      *(reply.mutable_results(i)->*result_record)() = record;
    }
    return reply;
  });
  if (together.ok()) {
    response = *std::move(together);
  } else if (absl::IsAlreadyExists(together.status())) {
    for (const auto& [i, record] : good) {
      Call item_call = call;
      item_call.idempotency_key = absl::StrCat(call.idempotency_key, "/", i);
      auto made = co_await db.Once(item_call, [&](pg::Batch& batch) -> absl::StatusOr<Record> {
        add(batch, record);
        return record;
      });
      if (made.ok()) {
        *(response.mutable_results(i)->*result_record)() = *std::move(made);
        continue;
      }
      const absl::Status named = co_await pg::NameExisting(db, call, table, made.status(), record);
      // What passes (no connection, overload) is the whole call's error: repeating it does the rest.
      if (!absl::IsAlreadyExists(named)) co_return named;
      *response.mutable_results(i)->mutable_error() = rpc::ToProto(named);
    }
  } else {
    co_return together.status();
  }
  for (auto& result : *response.mutable_results()) {
    if (result.has_error()) continue;
    Record& record = *(result.*result_record)();
    record = pg::Shown(call, table, std::move(record));
  }
  co_return response;
}

}  // namespace crm::contact
