// What a user and a tenant must be. Pure.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "crm/identity/v1/tenant.pb.h"
#include "crm/identity/v1/user.pb.h"

namespace crm::identity {

// Folds the login, squeezes names, reads the phone, sets what is shown. Errors name the field.
absl::Status Normalize(v1::User& user, const std::string& default_region);

// Fills in what is empty (UTC, EUR, en) and refuses zones, currencies, countries and working hours that there are not.
absl::Status Normalize(v1::Tenant& tenant);

// Monday to Friday, nine to six.
void SetUsualWorkingHours(v1::Tenant& tenant);

}  // namespace crm::identity
