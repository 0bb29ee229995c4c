// How a contact or company is written and found: the row, its keys, external ids and search entry, and the event,
// always together. Templates over the two record types; the handlers stay one paragraph each.
#pragma once

#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/app/members.h"
#include "common/base/error.h"
#include "common/base/phone.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/pg/db.h"
#include "common/pg/external_ids.h"
#include "common/pg/table.h"
#include "services/contact/rules/counterparty.h"
#include "services/contact/sql.h"

namespace crm::contact {

// A search's candidates: what a page of results can be ranked from.
inline constexpr int kSearchResultsMax = 100;

// The company that a record belongs to.
inline const std::string& CompanyOf(const v1::Contact& contact) { return contact.company_id(); }
inline const std::string& CompanyOf(const v1::Company& company) { return company.parent_id(); }

// Those of the ids that name no living company of this tenant; "" is none.
Async<std::set<std::string>> MissingCompanies(pg::Db& db, const Call& call, std::set<std::string> ids);

// An error if the record's company is among those that are missing.
template <typename Record>
absl::Status CheckCompany(const Record& record, const std::set<std::string>& missing) {
  if (!missing.contains(CompanyOf(record))) return absl::OkStatus();
  constexpr bool contact = std::is_same_v<Record, v1::Contact>;
  return FieldError(contact ? "contact.company_id" : "company.parent_id",
                    "there is no company " + CompanyOf(record) + "; name one that exists");
}

// Normalises and stamps a record that is to be made; its company must not be among `missing`.
template <typename Record>
Async<Record> NewRecord(pg::Db& db, const Call& call, const pg::Table<Record>& table, Record record,
                        const std::set<std::string>& missing) {
  CRM_CO_TRY(CheckCompany(record, missing));
  CRM_CO_TRY(Normalize(record, call.country_code));
  if (record.roles().empty()) record.add_roles(v1::ROLE_CUSTOMER);
  if (record.lifecycle() == v1::LIFECYCLE_UNSPECIFIED) record.set_lifecycle(v1::LIFECYCLE_POTENTIAL);
  CRM_CO_TRY(co_await app::FillTeam(db, call, record));
  pg::StampNew(call, table, record);
  CRM_CO_TRY(pg::CheckCreate(call, table, record));
  co_return record;
}

template <typename Record>
Async<Record> NewRecord(pg::Db& db, const Call& call, const pg::Table<Record>& table, Record record) {
  std::set<std::string> companies;
  companies.insert(CompanyOf(record));
  CRM_CO_TRY(const auto missing, co_await MissingCompanies(db, call, std::move(companies)));
  co_return co_await NewRecord(db, call, table, std::move(record), missing);
}

// A record that is to change must not change to a company that does not exist.
template <typename Record>
Async<> CheckNewCompany(pg::Db& db, const Call& call, const Record& before, const Record& after) {
  if (CompanyOf(before) == CompanyOf(after)) co_return absl::OkStatus();
  std::set<std::string> companies;
  companies.insert(CompanyOf(after));
  CRM_CO_TRY(const auto missing, co_await MissingCompanies(db, call, std::move(companies)));
  co_return CheckCompany(after, missing);
}

// The rows beside the record that it is found by.
void AddKeys(pg::Batch& batch, const std::string& object, const Uuid& id,
             const std::vector<std::pair<std::string, std::string>>& keys);
void AddSearchEntry(pg::Batch& batch, const std::string& object, const Uuid& id, const SearchText& text);
void RemoveKeys(pg::Batch& batch, const Uuid& id);

inline Uuid UuidOf(const std::string& id) { return ParseId(id)->uuid; }

// Adds a new record with everything that belongs to it.
template <typename Created, typename Record>
void AddCreated(pg::Batch& batch, const pg::Table<Record>& table, const Record& record, const Created& event) {
  const Uuid id = UuidOf(record.id());
  batch.Insert(table, record);
  AddKeys(batch, table.prefix(), id, KeysOf(record));
  pg::AddExternalIds(batch, table.prefix(), record);
  AddSearchEntry(batch, table.prefix(), id, SearchTextOf(record));
  batch.Emit(pg::EventOf(table, "created", record), event);
}

// Changes a record, and what belongs to it where that differs.
template <typename Event, typename Record>
void AddChanged(pg::Batch& batch, const pg::Table<Record>& table, const Record& before, const Record& after,
                const std::string& what, const Event& event, type::v1::Action action = type::v1::ACTION_UPDATE) {
  const Uuid id = UuidOf(after.id());
  table.AddUpdate(batch, before, after, action);
  if (KeysOf(before) != KeysOf(after)) {
    RemoveKeys(batch, id);
    AddKeys(batch, table.prefix(), id, KeysOf(after));
  }
  pg::ReplaceExternalIds(batch, table.prefix(), before, after);
  if (!(SearchTextOf(before) == SearchTextOf(after))) AddSearchEntry(batch, table.prefix(), id, SearchTextOf(after));
  pg::NewEvent about = pg::EventOf(table, what, after);
  about.changed_fields = pg::ChangedFields(before, after);
  batch.Emit(about, event);
}

// Ids that have this key, newest first.
Async<std::vector<std::string>> FindByKey(pg::Db& db, const Call& call, std::string object, std::string kind,
                                          std::string key);

// Ids by what a lookup request names: exactly one of phone, email, messenger, external id.
template <typename Request>
Async<std::vector<std::string>> FindByAddress(pg::Db& db, const Call& call, const std::string& object,
                                              const Request& request) {
  const bool external = !request.external_system().empty() || !request.external_id().empty();
  const int given = !request.phone().empty() + !request.email().empty() + !request.messenger().empty() + external;
  if (given != 1) {
    co_return FieldError("phone", "give exactly one of phone, email, messenger, or external_system with external_id");
  }
  if (external) {
    CRM_CO_TRY(std::string found,
               co_await pg::FindByExternalId(db, call, object, request.external_system(), request.external_id()));
    std::vector<std::string> ids;
    if (!found.empty()) ids.push_back(std::move(found));
    co_return ids;
  }
  if (!request.phone().empty()) {
    co_return co_await FindByKey(db, call, object, "phone", PhoneKey(ReadPhone(request.phone(), call.country_code)));
  }
  if (!request.email().empty()) co_return co_await FindByKey(db, call, object, "email", CaseFold(request.email()));
  co_return co_await FindByKey(db, call, object, "messenger", CaseFold(request.messenger()));
}

// Ids that match what was typed, best first: whole phones and addresses, then names that begin so, then (from three
// characters on, and if it was no whole phone or address) any part of name, address, number; for contacts also by their
// company's name.
Async<std::vector<std::string>> Search(pg::Db& db, const Call& call, std::string object, std::string query);

}  // namespace crm::contact
