// E-mail addresses as they are typed in.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

namespace crm {

// The address to store and compare: trimmed and case-folded; an international domain stays in its own script. Refuses,
// naming `field`, what no mail server would take (RFC 5321 sizes, RFC 5322 dot-atoms, RFC 6531 letters): no quoted
// local parts, no address literals, no domain without a dot.
absl::StatusOr<std::string> NormalizeEmail(absl::string_view text, absl::string_view field = "email");

}  // namespace crm
