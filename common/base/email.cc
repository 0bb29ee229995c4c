#include "common/base/email.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "common/base/error.h"
#include "common/base/text.h"

namespace crm {
namespace emails {

constexpr size_t kLocalMax = 64;     // RFC 5321, 4.5.3.1.1
constexpr size_t kAddressMax = 254;  // RFC 5321, 4.5.3.1.3 (a path of 256 has two angle brackets)
constexpr size_t kLabelMax = 63;     // RFC 1035
constexpr size_t kShownMax = 60;

bool IsAtomText(char c) {
  return (c & 0x80) != 0 || absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != absl::string_view::npos;
}

bool IsLabel(absl::string_view label) {
  if (label.empty() || label.size() > kLabelMax || label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(), [](char c) {
    return (c & 0x80) != 0 || absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
  });
}

// What is wrong with the address; null if nothing.
const char* Flaw(absl::string_view address) {
  if (address.empty()) return "is empty";
  if (!IsClean(address)) return "has characters that no address may have";
  if (address.size() > kAddressMax) return "is longer than 254 bytes";
  const size_t at = address.rfind('@');
  if (at == absl::string_view::npos) return "has no @";
  const absl::string_view local = address.substr(0, at), domain = address.substr(at + 1);
  if (local.empty()) return "has nothing before the @";
  if (local.size() > kLocalMax) return "has more than 64 bytes before the @";
  for (absl::string_view atom : absl::StrSplit(local, '.')) {
    if (atom.empty()) return "has a dot too many before the @";
    if (!std::all_of(atom.begin(), atom.end(), IsAtomText))
      return "has a character before the @ that cannot stand there";
  }
  const std::vector<absl::string_view> labels = absl::StrSplit(domain, '.');
  if (labels.size() < 2) return "needs a domain with a dot after the @";
  if (!std::all_of(labels.begin(), labels.end(), IsLabel)) return "has a domain that cannot exist";
  const absl::string_view top = labels.back();
  if (std::all_of(top.begin(), top.end(), [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); })) {
    return "has a number where the domain's ending should be";
  }
  return nullptr;
}

}  // namespace emails

absl::StatusOr<std::string> NormalizeEmail(absl::string_view text, absl::string_view field) {
  // Bounded first: the text may be any size. Case folding keeps it within three times as many bytes.
  const bool foldable = text.size() <= emails::kAddressMax * 4 && IsUtf8(text);
  const std::string address = foldable ? CaseFold(Squeezed(text)) : std::string(text);
  if (const char* flaw = emails::Flaw(address)) {
    const std::string shown = Squeezed(Truncated(text, emails::kShownMax));
    return FieldError(std::string(field), absl::StrCat("\"", shown, "\" ", flaw, ": write it like name@example.com"));
  }
  return address;
}

}  // namespace crm
