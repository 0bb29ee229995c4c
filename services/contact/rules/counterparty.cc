#include "services/contact/rules/counterparty.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <set>

#include "common/base/email.h"
#include "common/base/error.h"
#include "common/base/phone.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::contact {
namespace {

// A part of a number shorter than this matches too much to be worth looking for.
constexpr size_t kPhoneDigitsMin = 4;

std::string DigitsOf(const std::string& text) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), absl::ascii_isdigit);
  return digits;
}

// The first that is marked primary stays so; if none is, the first entry becomes it.
template <typename Entries>
void KeepOnePrimary(Entries& entries) {
  bool found = false;
  for (auto& entry : entries) {
    entry.set_primary(entry.primary() && !found);
    found = found || entry.primary();
  }
  if (!found && !entries.empty()) entries.Mutable(0)->set_primary(true);
}

template <typename Entries, typename Key>
void DropRepeats(Entries& entries, Key key) {
  std::set<std::string> seen;
  int kept = 0;
  for (int i = 0; i < entries.size(); ++i) {
    if (!seen.insert(key(entries.Get(i))).second) continue;
    if (i != kept) entries.SwapElements(i, kept);
    ++kept;
  }
  while (entries.size() > kept) entries.RemoveLast();
}

template <typename Record>
std::string RegionFor(const Record& record, const std::string& default_region) {
  if (!record.country_code().empty()) return record.country_code();
  for (const auto& address : record.addresses()) {
    if (!address.country_code().empty()) return address.country_code();
  }
  return default_region;
}

template <typename Record>
absl::Status NormalizeReach(Record& record, const std::string& name, const std::string& default_region) {
  for (auto& address : *record.mutable_addresses()) {
    address.set_city(Squeezed(address.city()));
    address.set_region(Squeezed(address.region()));
    address.set_postal_code(Squeezed(address.postal_code()));
    address.set_country(Squeezed(address.country()));
    if (address.country_code().empty()) address.set_country_code(RegionOfCountry(address.country()));
  }
  KeepOnePrimary(*record.mutable_addresses());
  for (const auto& address : record.addresses()) {
    if (!address.primary()) continue;
    if (record.city().empty()) record.set_city(address.city());
    if (record.region().empty()) record.set_region(address.region());
    if (record.country_code().empty()) record.set_country_code(address.country_code());
  }
  if (!record.country_code().empty() && !IsRegion(record.country_code())) {
    return FieldError(absl::StrCat(name, ".country_code"), "is no ISO 3166 country code; write it as in \"DE\"");
  }

  const std::string region = RegionFor(record, default_region);
  for (auto& phone : *record.mutable_phones()) {
    const Phone parsed = ReadPhone(phone.number(), region);
    std::string number = parsed.number;
    if (parsed.recognized && !parsed.extension.empty()) absl::StrAppend(&number, ";ext=", parsed.extension);
    phone.set_number(std::move(number));
    phone.set_unparsed(!parsed.recognized);
  }
  DropRepeats(*record.mutable_phones(), [](const auto& phone) { return phone.number(); });
  KeepOnePrimary(*record.mutable_phones());

  for (int i = 0; i < record.emails_size(); ++i) {
    const std::string field = absl::StrCat(name, ".emails[", i, "].address");
    CRM_TRY(auto address, NormalizeEmail(record.emails(i).address(), field));
    record.mutable_emails(i)->set_address(std::move(address));
  }
  DropRepeats(*record.mutable_emails(), [](const auto& email) { return email.address(); });
  KeepOnePrimary(*record.mutable_emails());

  for (auto& messenger : *record.mutable_messengers()) messenger.set_handle(Squeezed(messenger.handle()));
  DropRepeats(*record.mutable_messengers(),
              [](const auto& m) { return absl::StrCat(m.kind(), ":", CaseFold(m.handle())); });
  KeepOnePrimary(*record.mutable_messengers());

  std::set<std::string> systems;
  for (int i = 0; i < record.external_ids_size(); ++i) {
    if (!systems.insert(record.external_ids(i).system()).second) {
      return FieldError(absl::StrCat(name, ".external_ids[", i, "].system"),
                        "stands twice; a record has one id per system");
    }
  }
  return absl::OkStatus();
}

template <typename Record>
std::vector<std::pair<std::string, std::string>> ReachKeysOf(const Record& record) {
  std::vector<std::pair<std::string, std::string>> keys;
  for (const auto& phone : record.phones()) {
    // What Normalize has recognized is its own key, but for the extension.
    const bool e164 = !phone.unparsed() && absl::StartsWith(phone.number(), "+");
    std::string key =
        e164 ? phone.number().substr(0, phone.number().find(';')) : PhoneKey(ReadPhone(phone.number(), ""));
    if (!key.empty()) keys.emplace_back("phone", std::move(key));
  }
  for (const auto& email : record.emails()) keys.emplace_back("email", email.address());
  for (const auto& m : record.messengers()) {
    keys.emplace_back("messenger", absl::StrCat(m.kind(), ":", CaseFold(m.handle())));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

template <typename Record>
SearchText TextOf(const std::string& name, const std::vector<std::string>& words, const Record& record) {
  SearchText search;
  search.name = SearchKey(name);
  std::vector<std::string> parts = {search.name};
  const std::string latin = LatinKey(name);
  if (latin != search.name) parts.push_back(latin);
  for (const std::string& word : words) {
    if (!word.empty()) parts.push_back(SearchKey(word));
  }
  for (const auto& phone : record.phones()) parts.push_back(DigitsOf(phone.number()));
  for (const auto& email : record.emails()) parts.push_back(email.address());
  for (const auto& messenger : record.messengers()) parts.push_back(CaseFold(messenger.handle()));
  // A line end between the parts, so that no search term spans two of them.
  search.text = absl::StrJoin(parts, "\n");
  return search;
}

}  // namespace

absl::Status Normalize(v1::Contact& contact, const std::string& default_region) {
  contact.set_given_name(Squeezed(contact.given_name()));
  contact.set_family_name(Squeezed(contact.family_name()));
  contact.set_middle_name(Squeezed(contact.middle_name()));
  contact.set_job_title(Squeezed(contact.job_title()));
  CRM_TRY(NormalizeReach(contact, "contact", default_region));
  if (!contact.birth_date().empty() && !ParsePartialDate(contact.birth_date()).ok()) {
    return FieldError("contact.birth_date", "is no day of the calendar; write \"1985-05-03\" or \"--05-03\"");
  }
  if (!contact.time_zone().empty()) CRM_TRY(FindZone(contact.time_zone(), "contact.time_zone").status());

  std::vector<std::string> names;
  for (const auto& name : {contact.given_name(), contact.middle_name(), contact.family_name()}) {
    if (!name.empty()) names.push_back(name);
  }
  std::string shown = absl::StrJoin(names, " ");
  if (shown.empty() && contact.emails_size() > 0) shown = contact.emails(0).address();
  if (shown.empty() && contact.phones_size() > 0) shown = contact.phones(0).number();
  if (shown.empty() && contact.messengers_size() > 0) shown = contact.messengers(0).handle();
  if (shown.empty()) {
    return FieldError("contact",
                      "has neither a name nor a phone, e-mail address or messenger; give at least one of them");
  }
  contact.set_display_name(std::move(shown));
  return absl::OkStatus();
}

absl::Status Normalize(v1::Company& company, const std::string& default_region) {
  company.set_name(Squeezed(company.name()));
  if (company.name().empty()) return FieldError("company.name", "is empty; give the company's name");
  company.set_legal_name(Squeezed(company.legal_name()));
  company.set_tax_id(Squeezed(company.tax_id()));
  return NormalizeReach(company, "company", default_region);
}

std::vector<std::pair<std::string, std::string>> KeysOf(const v1::Contact& contact) { return ReachKeysOf(contact); }
std::vector<std::pair<std::string, std::string>> KeysOf(const v1::Company& company) { return ReachKeysOf(company); }

SearchText SearchTextOf(const v1::Contact& contact) {
  return TextOf(contact.display_name(), {absl::StrCat(contact.family_name(), " ", contact.given_name())}, contact);
}

SearchText SearchTextOf(const v1::Company& company) {
  return TextOf(company.name(), {company.legal_name(), company.tax_id()}, company);
}

SearchTerms TermsOf(const std::string& query, const std::string& default_region) {
  SearchTerms terms;
  terms.key = SearchKey(query);
  terms.latin = LatinKey(query);
  const std::string digits = DigitsOf(query);
  if (digits.size() >= kPhoneDigitsMin) {
    terms.digits = digits;
    const Phone phone = ReadPhone(query, default_region);
    if (phone.recognized) terms.phone = PhoneKey(phone);
  }
  if (query.find('@') != std::string::npos) {
    if (auto email = NormalizeEmail(query); email.ok()) terms.email = *email;
  }
  return terms;
}

}  // namespace crm::contact
