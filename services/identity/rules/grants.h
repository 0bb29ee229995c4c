// Rights that people hand to others. Pure.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/repeated_field.h>

#include <vector>

#include "common/base/call.h"
#include "crm/identity/v1/role.pb.h"

namespace crm::identity {

// Nobody gives away more than they hold: PERMISSION_DENIED naming the first right that the caller lacks.
absl::Status CheckGrantable(const Call& call, const google::protobuf::RepeatedPtrField<v1::Grant>& grants,
                            bool personal_data);

// The roles that the package "b2b_sales" brings, in the tenant's language, with ids derived from the tenant's:
// administrator, head, manager.
std::vector<v1::Role> PackageRoles(const std::string& tenant_id, const std::string& language);

}  // namespace crm::identity
