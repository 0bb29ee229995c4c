// Phone numbers by libphonenumber, and countries by their names. Only phone.cc sees the library.
#pragma once

#include <absl/strings/string_view.h>

#include <string>

namespace crm {

struct Phone {
  std::string number;       // E.164, "+49300074321", if `recognized`; otherwise the text as given, squeezed
  std::string extension;    // "12" of "030 0074321 ext. 12"; empty if none
  std::string region;       // ISO 3166 alpha-2 of the number, "DE"; empty if unknown or not one country's
  bool recognized = false;  // it has the shape of a number that can be dialled from anywhere
  bool assigned = false;    // its range was in use when the library's tables were made
};

// Reads any usual spelling. `default_region` (ISO alpha-2, may be empty) counts for numbers without a country code.
Phone ParsePhone(absl::string_view text, absl::string_view default_region);

// The same without `region` and `assigned`, which take longer than all the rest.
Phone ReadPhone(absl::string_view text, absl::string_view default_region);

// What a phone is looked up by: E.164 if recognized, otherwise its digits. Empty if it has none.
std::string PhoneKey(const Phone& phone);

// ISO 3166 alpha-2 of a country as people and files write it: "DE", "deu", "Germany", "Deutschland", "México", "UK",
// "U.S.A.", "Россия". Empty if unknown.
std::string RegionOfCountry(absl::string_view country);

// Whether it is an ISO 3166 alpha-2 code, upper case.
bool IsRegion(absl::string_view code);

}  // namespace crm
