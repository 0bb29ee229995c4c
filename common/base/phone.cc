#include "common/base/phone.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/ascii.h>
#include <phonenumbers/phonenumber.pb.h>
#include <phonenumbers/phonenumberutil.h>
#include <unicode/locid.h>
#include <unicode/unistr.h>

#include <list>
#include <string>
#include <vector>

#include "common/base/text.h"

namespace crm {
namespace phones {

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

constexpr size_t kTextMax = 250;  // the library reads no more; longer texts are no numbers

struct Alias {
  const char* name;
  const char* region;
};
// What people write and CLDR does not list as a name.
constexpr Alias kAliases[] = {
    {"usa", "US"},
    {"u.s.", "US"},
    {"u.s.a.", "US"},
    {"united states of america", "US"},
    {"america", "US"},
    {"estados unidos de america", "US"},
    {"uk", "GB"},
    {"u.k.", "GB"},
    {"great britain", "GB"},
    {"britain", "GB"},
    {"england", "GB"},
    {"scotland", "GB"},
    {"wales", "GB"},
    {"northern ireland", "GB"},
    {"eire", "IE"},
    {"republic of ireland", "IE"},
    {"holland", "NL"},
    {"the netherlands", "NL"},
    {"czech republic", "CZ"},
    {"ceska republika", "CZ"},
    {"slovak republic", "SK"},
    {"russian federation", "RU"},
    {"российская федерация", "RU"},
    {"рф", "RU"},
    {"сша", "US"},
    {"оаэ", "AE"},
    {"белоруссия", "BY"},
    {"korea", "KR"},
    {"republic of korea", "KR"},
    {"uae", "AE"},
    {"brd", "DE"},
    {"ivory coast", "CI"},
    {"burma", "MM"},
    {"macedonia", "MK"},
    {"swaziland", "SZ"},
    {"cape verde", "CV"},
    {"viet nam", "VN"},
    {"turkey", "TR"},
    {"p.r. china", "CN"},
    {"people's republic of china", "CN"},
    {"republic of china", "TW"},
};

// The languages that country names are read in: those of our screens and of our customers' files.
constexpr const char* kLanguages[] = {"en", "ru", "he", "yi", "de", "fr", "es", "it", "pt", "nl", "pl",
                                      "uk", "cs", "sk", "sl", "hr", "ro", "hu", "bg", "el", "tr", "sv",
                                      "da", "nb", "fi", "et", "lv", "lt", "ar", "ja", "zh", "ko"};

// The search key without punctuation: "U.S.A." and "u s a".
std::string Key(absl::string_view name) {
  std::string key = SearchKey(name);
  for (char& c : key) {
    if (absl::ascii_ispunct(static_cast<unsigned char>(c))) c = ' ';
  }
  return Squeezed(key);
}

// Made at the first use, in a few tens of milliseconds.
const absl::flat_hash_map<std::string, std::string>& Regions() {
  static const auto* const regions = [] {
    auto* map = new absl::flat_hash_map<std::string, std::string>();
    // The first entry of a key stays: codes before names, English before other languages.
    std::vector<std::string> codes;
    for (const char* const* code = icu::Locale::getISOCountries(); *code != nullptr; ++code) codes.emplace_back(*code);
    for (const auto& code : codes) map->emplace(Key(code), code);
    for (const auto& alias : kAliases) map->emplace(Key(alias.name), alias.region);
    for (const auto& code : codes) map->emplace(Key(icu::Locale("", code.c_str()).getISO3Country()), code);
    for (const char* language : kLanguages) {
      const icu::Locale reader(language);
      for (const auto& code : codes) {
        icu::UnicodeString name;
        icu::Locale("", code.c_str()).getDisplayCountry(reader, name);
        std::string utf8;
        map->emplace(Key(name.toUTF8String(utf8)), code);
      }
    }
    return map;
  }();
  return *regions;
}

}  // namespace phones

namespace phones {

// Whether the text is this E.164 number but for spaces, brackets and hyphens, which the library passes over.
bool IsWritten(const std::string& e164, const std::string& text) {
  size_t at = 0;
  for (const char c : text) {
    if (at < e164.size() && c == e164[at]) {
      ++at;
    } else if (c != ' ' && c != '-' && c != '(' && c != ')') {
      return false;
    }
  }
  return at == e164.size();
}

// An international number without the spaces, brackets and hyphens, which the library passes over, but at a price: its regular
// expressions take 11 us for "+7 (916) 123-45-67" and 6 for "+79161234567". Anything else as it stands.
std::string WithoutPunctuation(const std::string& text) {
  if (text.empty() || text[0] != '+') return text;
  std::string plain = "+";
  for (const char c : absl::string_view(text).substr(1)) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      plain += c;
    } else if (c != ' ' && c != '-' && c != '(' && c != ')') {
      return text;
    }
  }
  return plain;
}

// The number of `phone`, if it is recognized.
PhoneNumber Read(absl::string_view text, absl::string_view default_region, Phone& phone) {
  PhoneNumber parsed;
  phone.number = Squeezed(text);
  if (phone.number.empty() || phone.number.size() > kTextMax || !IsClean(phone.number)) return parsed;
  const auto& util = *PhoneNumberUtil::GetInstance();
  std::string region = default_region.empty() ? "ZZ" : absl::AsciiStrToUpper(default_region);
  // Odd input, such as a trunk 0 after the country code, formats to an E.164 text that reads as another one: read until
  // it stays, so that what is stored finds itself.
  constexpr int kReadingsMax = 3;
  std::string text_read = WithoutPunctuation(phone.number), e164, extension;
  for (int i = 0;; ++i) {
    parsed.Clear();
    if (util.Parse(text_read, region, &parsed) != PhoneNumberUtil::NO_PARSING_ERROR) return parsed;
    // Possible, not valid: the library's tables are as old as its package, and a new range is a number too.
    if (util.IsPossibleNumberWithReason(parsed) != PhoneNumberUtil::IS_POSSIBLE) return parsed;
    if (i == 0) extension = parsed.extension();
    util.Format(parsed, PhoneNumberUtil::E164, &e164);
    if (IsWritten(e164, text_read)) break;
    if (i == kReadingsMax) return parsed;
    text_read = e164;
    region = "ZZ";
  }
  phone.recognized = true;
  phone.number = e164;
  phone.extension = extension;
  return parsed;
}

}  // namespace phones

Phone ReadPhone(absl::string_view text, absl::string_view default_region) {
  Phone phone;
  phones::Read(text, default_region, phone);
  return phone;
}

Phone ParsePhone(absl::string_view text, absl::string_view default_region) {
  Phone phone;
  const phones::PhoneNumber parsed = phones::Read(text, default_region, phone);
  if (!phone.recognized) return phone;
  const auto& util = *phones::PhoneNumberUtil::GetInstance();
  phone.assigned = util.IsValidNumber(parsed);
  util.GetRegionCodeForNumber(parsed, &phone.region);
  if (phone.region == "ZZ" || phone.region == "001") phone.region.clear();
  if (phone.region.empty() && !phone.assigned) {
    // Of an unassigned range the country code still says the country, where it has only one.
    std::list<std::string> regions;
    util.GetRegionCodesForCountryCallingCode(parsed.country_code(), &regions);
    if (regions.size() == 1 && regions.front() != "001") phone.region = regions.front();
  }
  return phone;
}

std::string PhoneKey(const Phone& phone) {
  if (phone.recognized) return phone.number;
  std::string digits;
  for (char c : phone.number) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(c))) digits.push_back(c);
  }
  return digits;
}

std::string RegionOfCountry(absl::string_view country) {
  constexpr size_t kNameMax = 200;
  if (country.size() > kNameMax) return "";
  const auto& regions = phones::Regions();
  auto it = regions.find(phones::Key(country));
  return it == regions.end() ? "" : it->second;
}

bool IsRegion(absl::string_view code) {
  static const auto* const codes = [] {
    auto* set = new absl::flat_hash_map<std::string, bool>();
    for (const char* const* code = icu::Locale::getISOCountries(); *code != nullptr; ++code) set->emplace(*code, true);
    return set;
  }();
  return codes->contains(code);
}

}  // namespace crm
