#include "services/identity/rules/users.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "common/base/decimal.h"
#include "common/base/email.h"
#include "common/base/error.h"
#include "common/base/phone.h"
#include "common/base/status.h"
#include "common/base/text.h"
#include "common/base/time.h"

namespace crm::identity {

absl::Status Normalize(v1::User& user, const std::string& default_region) {
  CRM_TRY(*user.mutable_email(), NormalizeEmail(user.email(), "user.email"));
  user.set_given_name(Squeezed(user.given_name()));
  user.set_family_name(Squeezed(user.family_name()));
  user.set_job_title(Squeezed(user.job_title()));
  if (!user.phone().empty()) user.set_phone(ParsePhone(user.phone(), default_region).number);
  if (!user.time_zone().empty()) CRM_TRY(FindZone(user.time_zone(), "user.time_zone").status());
  std::string shown = Squeezed(absl::StrCat(user.given_name(), " ", user.family_name()));
  user.set_display_name(shown.empty() ? user.email() : shown);
  return absl::OkStatus();
}

absl::Status Normalize(v1::Tenant& tenant) {
  tenant.set_name(Squeezed(tenant.name()));
  if (tenant.name().empty()) return FieldError("tenant.name", "is empty; give the company's name");
  if (tenant.time_zone().empty()) tenant.set_time_zone("UTC");
  if (tenant.currency_code().empty()) tenant.set_currency_code("EUR");
  if (tenant.language().empty()) tenant.set_language("en");
  CRM_TRY(FindZone(tenant.time_zone(), "tenant.time_zone").status());
  if (!IsCurrency(tenant.currency_code())) {
    return FieldError("tenant.currency_code", "is no ISO 4217 currency; write it as in \"EUR\"");
  }
  if (!tenant.country_code().empty() && !IsRegion(tenant.country_code())) {
    return FieldError("tenant.country_code", "is no ISO 3166 country code; write it as in \"DE\"");
  }
  std::vector<v1::WorkingHours> hours(tenant.working_hours().begin(), tenant.working_hours().end());
  std::sort(hours.begin(), hours.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.weekday(), a.start()) < std::tuple(b.weekday(), b.start());
  });
  for (size_t i = 0; i < hours.size(); ++i) {
    const std::string at = absl::StrCat("tenant.working_hours[", i, "]");
    if (hours[i].end() <= hours[i].start()) return FieldError(at + ".end", "is not later than the start");
    if (i > 0 && hours[i - 1].weekday() == hours[i].weekday() && hours[i].start() < hours[i - 1].end()) {
      return FieldError(at + ".start", "lies within another stretch of the same day");
    }
  }
  *tenant.mutable_working_hours() = {hours.begin(), hours.end()};
  return absl::OkStatus();
}

void SetUsualWorkingHours(v1::Tenant& tenant) {
  for (int weekday = 1; weekday <= 5; ++weekday) {
    auto* hours = tenant.add_working_hours();
    hours->set_weekday(weekday);
    hours->set_start("09:00");
    hours->set_end("18:00");
  }
}

}  // namespace crm::identity
