// What a password must be (NIST SP 800-63B: length and a list of what everyone uses; no composition rules). Pure.
#pragma once

#include <absl/status/status.h>

#include <string>

namespace crm::identity {

inline constexpr size_t kPasswordLengthMin = 10;

// INVALID_ARGUMENT naming `field` for a password that is too short, common, one character repeated, or made of the
// login.
absl::Status CheckPassword(const std::string& password, const std::string& login, const std::string& field);

}  // namespace crm::identity
