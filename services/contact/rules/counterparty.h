// What a contact and a company have in common: how they are written down, compared and found. Pure.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <utility>
#include <vector>

#include "crm/contact/v1/company.pb.h"
#include "crm/contact/v1/contact.pb.h"

namespace crm::contact {

// Brings a record into the form that is stored: phones in E.164 (by their own country code, else the record's country,
// else its primary address's, else `default_region`; what cannot be read stays as given, marked unparsed), e-mails
// folded, exactly one primary of each kind, names squeezed, city and country from the primary address where empty,
// display name. Errors name the field as the caller sent it ("contact.emails[0].address").
absl::Status Normalize(v1::Contact& contact, const std::string& default_region);
absl::Status Normalize(v1::Company& company, const std::string& default_region);

// (kind, key) under which a record is looked up: ("phone", "+49..."), ("email", "a@b.c"), ("messenger",
// "telegram:anna").
std::vector<std::pair<std::string, std::string>> KeysOf(const v1::Contact& contact);
std::vector<std::pair<std::string, std::string>> KeysOf(const v1::Company& company);

// What a search looks through: the folded name, and all that a part of may be typed.
struct SearchText {
  std::string name;
  std::string text;
  bool operator==(const SearchText&) const = default;
};
SearchText SearchTextOf(const v1::Contact& contact);
SearchText SearchTextOf(const v1::Company& company);

// What is typed into a search box, ready to compare.
struct SearchTerms {
  std::string key;     // folded; empty if nothing is left to search by
  std::string latin;   // the same in Latin letters
  std::string phone;   // E.164, if it could be a whole number
  std::string digits;  // at least four digits of a number, else empty
  std::string email;   // folded, if it is an address
};
SearchTerms TermsOf(const std::string& query, const std::string& default_region);

}  // namespace crm::contact
