// The filters of templates: how values are written for people, in the reader's language. Pure (ICU; no time zones of
// its own: moments are shown in the zone that is handed in).
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "services/messaging/rules/value.h"

namespace crm::messaging {

// In whose language and zone values are written.
struct Locale {
  std::string language = "en";    // BCP 47
  std::string time_zone = "UTC";  // IANA
};

struct FilterInfo {
  std::string name;
  std::string example;
  int arguments_min = 0;
  int arguments_max = 0;
};
// Every filter, by name.
const std::vector<FilterInfo>& Filters();
const FilterInfo* FindFilter(const std::string& name);

// Applies one; unknown ones are refused before, when a template is read. What cannot be formatted (a word as money) is
// passed through as it is.
Value ApplyFilter(const std::string& name, const Value& value, const std::vector<Value>& arguments,
                  const Locale& locale);

// What stands in the letter for a value without a filter: money and dates in the reader's way, numbers as they are.
std::string Plain(const Value& value, const Locale& locale);

}  // namespace crm::messaging
