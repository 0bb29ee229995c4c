// covers: common/base/phone.cc
// Phone numbers and countries' names: a number in its normal form is its own normal form, and looked up by the same key.
#include "common/base/phone.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(phone) {
  using namespace crm;
  const absl::string_view region = input.Line(), text = input.Rest();
  const Phone phone = ParsePhone(text, region), quick = ReadPhone(text, region);
  fuzz::Require(phone.number == quick.number && phone.recognized == quick.recognized, "both readers agree", text);
  fuzz::Require(IsUtf8(phone.number) && IsUtf8(phone.extension), "what is kept is UTF-8", phone.number);
  fuzz::Require(phone.region.empty() || IsRegion(phone.region), "a region is ISO 3166's", phone.region);
  if (phone.recognized) {
    const Phone again = ParsePhone(phone.number, "");
    fuzz::Require(again.recognized && again.number == phone.number, "E.164 reads as itself", phone.number);
    fuzz::Require(PhoneKey(again) == PhoneKey(phone), "one number, one key", phone.number);
  }
  const std::string country = RegionOfCountry(text);
  fuzz::Require(country.empty() || IsRegion(country), "a country is ISO 3166's", country);
}
