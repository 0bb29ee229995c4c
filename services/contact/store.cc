#include "services/contact/store.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/phone.h"
#include "common/base/text.h"
#include "services/contact/service.h"

namespace crm::contact {
namespace {

// Fewer characters than a trigram has would walk the whole index.
constexpr size_t kSubstringLengthMin = 3;

std::string EscapedLike(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"%", "\\%"}, {"_", "\\_"}});
}

// `phone = "(5) 555-4729"`: a condition on the key table, whatever the spelling.
absl::StatusOr<pg::Fragment> KeyCondition(const Call& call, const filter::Compare& compare, const std::string& object,
                                          const std::string& kind) {
  if (compare.op == filter::Op::kHas && compare.value.kind == filter::Value::Kind::kAny) {
    return pg::Fragment{"EXISTS (SELECT 1 FROM record_key_view k WHERE k.record_id = t.id AND k.kind = $1)",
                        pg::Params().Text(kind)};
  }
  if (compare.op != filter::Op::kEqual && compare.op != filter::Op::kNotEqual && compare.op != filter::Op::kHas) {
    return filter::ErrorAt(compare, absl::StrCat("\"", kind, "\" can be compared with = and != only"));
  }
  CRM_TRY(std::string text, filter::TextOf(compare));
  std::string key = kind == "phone" ? PhoneKey(ReadPhone(text, call.country_code)) : CaseFold(text);
  const std::string found =
      "t.id IN (SELECT k.record_id FROM record_key_view k WHERE k.object = $1 AND k.kind = $2 AND k.key = $3)";
  return pg::Fragment{compare.op == filter::Op::kNotEqual ? "NOT (" + found + ")" : found,
                      pg::Params().Text(object).Text(kind).Text(key)};
}

}  // namespace

void AddKeys(pg::Batch& batch, const std::string& object, const Uuid& id,
             const std::vector<std::pair<std::string, std::string>>& keys) {
  if (keys.empty()) return;
  std::vector<std::string> kinds, values;
  for (const auto& [kind, key] : keys) {
    kinds.push_back(kind);
    values.push_back(key);
  }
  batch.Add(sql::kInsertKeys,
            pg::Params().Id(batch.call().tenant()).Text(object).Id(id).TextArray(kinds).TextArray(values));
}

void AddSearchEntry(pg::Batch& batch, const std::string& object, const Uuid& id, const SearchText& text) {
  batch.Add(sql::kPutSearchEntry,
            pg::Params().Id(batch.call().tenant()).Text(object).Id(id).Text(text.name).Text(text.text));
}

void RemoveKeys(pg::Batch& batch, const Uuid& id) {
  batch.Add(sql::kDeleteKeys, pg::Params().Id(batch.call().tenant()).Id(id));
}

Async<std::vector<std::string>> FindByKey(pg::Db& db, const Call& call, std::string object, std::string kind,
                                          std::string key) {
  CRM_CO_TRY(pg::Rows rows,
             co_await db.Read(call, sql::kFindByKey, pg::Params().Text(object).Text(kind).Text(key), pg::Work::kPoint));
  std::vector<std::string> ids;
  for (int i = 0; i < rows.size(); ++i) ids.push_back(TypeId(object, rows.Id(i, 0)));
  co_return ids;
}

namespace search {

// Whether the trigram index narrows a term: it knows no punctuation, so that "o'co" would be all that begins with "co".
bool HasTrigram(const std::string& term) {
  size_t run = 0;
  for (const char c : term) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) == 0x80) continue;  // within a character
    run = byte >= 0x80 || absl::ascii_isalnum(byte) ? run + 1 : 0;
    if (run >= kSubstringLengthMin) return true;
  }
  return false;
}

// The patterns of what may stand anywhere in the text, none twice: each is a search of the index of its own.
std::vector<std::string> PartsOf(const SearchTerms& terms) {
  std::vector<std::string> parts;
  if (LengthOf(terms.key) < kSubstringLengthMin) return parts;
  for (const std::string* term : {&terms.key, &terms.latin, &terms.digits}) {
    std::string pattern = absl::StrCat("%", EscapedLike(*term), "%");
    if (HasTrigram(*term) && std::find(parts.begin(), parts.end(), pattern) == parts.end()) {
      parts.push_back(std::move(pattern));
    }
  }
  return parts;
}

}  // namespace search

Async<std::vector<std::string>> Search(pg::Db& db, const Call& call, std::string object, std::string query) {
  // Narrowed in the statements themselves: what is counted or ranked first and left out later would still tell.
  const auto narrowed = [&call, user = ParseId(call.principal.user_id)](pg::Params params, const std::string& what) {
    params.Int(call.ScopeOf(what, type::v1::ACTION_READ))
        .Id(user.ok() ? user->uuid : Uuid{})
        .IdArray(call.principal.teams);
    return params;
  };
  const SearchTerms terms = TermsOf(query, call.country_code);
  if (terms.key.empty())
    co_return FieldError("query", "has nothing to search by; type a part of a name, number or address");

  // The arms run in one batch; a search sets plans that use the indexes whatever the statistics say.
  pg::Batch batch(call);
  batch.Add(sql::kSearchExact,
            narrowed(pg::Params().Text(object).Text(terms.phone).Text(terms.email).Int(kSearchResultsMax), object));
  batch.Add(sql::kSearchPrefix,
            narrowed(pg::Params().Text(object).Text(EscapedLike(terms.key) + "%").Int(kSearchResultsMax), object));
  int companies_found = -1;
  if (object == "contact" && LengthOf(terms.key) >= kSubstringLengthMin) {
    companies_found =
        batch.Add(sql::kSearchPrefix,
                  narrowed(pg::Params().Text("company").Text(EscapedLike(terms.key) + "%").Int(20), "company"));
  }
  pg::Db::ReadOptions options;
  options.work = pg::Work::kList;
  options.force_custom_plan = true;
  options.no_seq_scan = true;
  options.statement_timeout = pg::kListTimeout;
  CRM_CO_TRY(const auto results, co_await db.Read(call, std::move(batch), options));

  std::vector<std::string> ids;
  absl::flat_hash_set<Uuid> seen;
  const auto take = [&](const pg::Rows& rows) {
    for (int i = 0; i < rows.size() && ids.size() < kSearchResultsMax; ++i) {
      const Uuid id = rows.Id(i, 0);
      if (seen.insert(id).second) ids.push_back(TypeId(object, id));
    }
  };
  take(results[0]);
  take(results[1]);

  // Any part of the text costs the most: it is looked for only where there is room for it, and not beside a whole number or
  // address, which is what was meant.
  std::vector<std::string> parts = search::PartsOf(terms);
  if (!parts.empty() && results[0].empty() && ids.size() < kSearchResultsMax) {
    pg::Batch further(call);
    further.Add(sql::kPlainScansOff);
    further.Add(sql::kSearchSubstring,
                narrowed(pg::Params().Text(object).TextArray(parts).Text(terms.key).Int(kSearchResultsMax), object));
    CRM_CO_TRY(const auto found, co_await db.Read(call, std::move(further), options));
    take(found[1]);
  }

  if (companies_found >= 0 && !results[companies_found].empty() && ids.size() < kSearchResultsMax) {
    const pg::Rows& found = results[companies_found];
    std::vector<Uuid> companies;
    for (int i = 0; i < found.size(); ++i) companies.push_back(found.Id(i, 0));
    CRM_CO_TRY(
        pg::Rows employees,
        co_await db.Read(call, sql::kSearchByCompany,
                         narrowed(pg::Params().IdArray(companies).Int(kSearchResultsMax), object), pg::Work::kList));
    take(employees);
  }
  co_return ids;
}

Async<std::set<std::string>> MissingCompanies(pg::Db& db, const Call& call, std::set<std::string> ids) {
  ids.erase("");
  if (ids.empty()) co_return ids;
  std::vector<Uuid> uuids;
  for (const auto& id : ids) {
    CRM_CO_TRY(Uuid uuid, ParseId(id, "company", "company_id"));
    uuids.push_back(uuid);
  }
  CRM_CO_TRY(pg::Rows rows, co_await db.Read(call, sql::kFindCompanies, pg::Params().IdArray(uuids), pg::Work::kPoint));
  for (int i = 0; i < rows.size(); ++i) ids.erase(TypeId("company", rows.Id(i, 0)));
  co_return ids;
}

Tables::Tables() {
  // `phone = "030 74321"` in a filter: any spelling of the number, through the key table.
  const auto by_key = [](const std::string& object, const std::string& kind) {
    return pg::FilterField{kind,
                           [object, kind](const Call& call, const filter::Compare& compare) {
                             return KeyCondition(call, compare, object, kind);
                           },
                           /*personal=*/true};
  };
  contacts.AddUniqueKey(pg::ByExternalId("contact"));
  companies.AddUniqueKey(pg::ByExternalId("company"));
  for (const char* kind : {"phone", "email", "messenger"}) {
    contacts.AddFilterField(by_key("contact", kind));
    companies.AddFilterField(by_key("company", kind));
  }
}

}  // namespace crm::contact
