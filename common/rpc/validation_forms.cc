#include "common/rpc/validation_forms.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <string>

namespace crm::rpc::validation {

bool Matches(const RE2& pattern, absl::string_view text) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

bool IsIp4(absl::string_view text) {
  in_addr address;
  return text.size() < INET_ADDRSTRLEN && inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool IsIp6(absl::string_view text) {
  const auto zone = text.find('%');
  if (zone != absl::string_view::npos) {
    if (zone + 1 == text.size()) return false;
    text = text.substr(0, zone);
  }
  in6_addr address;
  return text.size() < INET6_ADDRSTRLEN && inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

bool IsIp(absl::string_view text) { return IsIp4(text) || IsIp6(text); }

// The HTML standard's pattern (html.spec.whatwg.org/#valid-e-mail-address), as protovalidate has it.
bool IsEmail(absl::string_view text) {
  static const auto* pattern = new RE2(
      "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
      "(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*");
  return Matches(*pattern, text);
}

// RFC 1034: labels of 1 to 63 letters, digits and inner hyphens, 253 in all; the last one not all digits.
bool IsHostname(absl::string_view text) {
  static const auto* pattern =
      new RE2("(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\\.?");
  if (text.size() > 253 || !Matches(*pattern, text)) return false;
  if (absl::EndsWith(text, ".")) text.remove_suffix(1);
  const absl::string_view last = text.substr(text.rfind('.') + 1);
  return !std::all_of(last.begin(), last.end(), [](char c) { return absl::ascii_isdigit(c); });
}

// "host:port", the port 0 to 65535.
bool IsHostAndPort(absl::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == absl::string_view::npos) return false;
  const absl::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  int number = 0;
  if (port.empty() || port.size() > 5 || !absl::SimpleAtoi(port, &number) || number > 65535) return false;
  if (!std::all_of(port.begin(), port.end(), [](char c) { return absl::ascii_isdigit(c); })) return false;
  if (port.size() > 1 && port[0] == '0') return false;
  if (absl::StartsWith(host, "[")) return absl::EndsWith(host, "]") && IsIp6(host.substr(1, host.size() - 2));
  return IsHostname(host) || IsIp4(host);
}

// RFC 3986, appendix A; relative references too where asked.
bool IsUri(absl::string_view text, bool relative) {
#define CRM_PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define CRM_NAME "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
#define CRM_AUTHORITY                                                                    \
  "//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:\\[([^\\]]*)\\]|" CRM_NAME \
  ")(?::[0-9]*)?"                                                                        \
  "(?:/" CRM_PCHAR "*)*"
#define CRM_TAIL "(?:\\?(?:" CRM_PCHAR "|[/?])*)?(?:#(?:" CRM_PCHAR "|[/?])*)?"
  static const auto* absolute = new RE2("[A-Za-z][A-Za-z0-9+.-]*:(?:" CRM_AUTHORITY "|/(?:" CRM_PCHAR "+(?:/" CRM_PCHAR
                                        "*)*)?|" CRM_PCHAR "+(?:/" CRM_PCHAR "*)*|)" CRM_TAIL);
  // The first segment of a relative path has no colon.
  static const auto* reference =
      new RE2("(?:" CRM_AUTHORITY "|/(?:" CRM_PCHAR "+(?:/" CRM_PCHAR
              "*)*)?|(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+(?:/" CRM_PCHAR "*)*|)" CRM_TAIL);
#undef CRM_PCHAR
#undef CRM_NAME
#undef CRM_AUTHORITY
#undef CRM_TAIL
  static const auto* future = new RE2("[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+");
  const re2::StringPiece piece(text.data(), text.size());
  re2::StringPiece literal;
  if (!RE2::FullMatch(piece, *absolute, &literal)) {
    if (!relative || !RE2::FullMatch(piece, *reference, &literal)) return false;
  }
  if (literal.data() == nullptr) return true;
  const absl::string_view host(literal.data(), literal.size());
  return (IsIp6(host) && !absl::StrContains(host, "%")) || Matches(*future, host);
}

bool IsUuid(absl::string_view text) {
  static const auto* pattern = new RE2("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}");
  return Matches(*pattern, text);
}
bool IsTrimmedUuid(absl::string_view text) {
  static const auto* pattern = new RE2("[0-9a-fA-F]{32}");
  return Matches(*pattern, text);
}
bool IsUlid(absl::string_view text) {
  static const auto* pattern = new RE2("[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}");
  return Matches(*pattern, text);
}

const Form* FormOf(buf::validate::StringRules::WellKnownCase which) {
  using buf::validate::StringRules;
  static const absl::flat_hash_map<int, Form> forms = {
      {StringRules::kEmail, {IsEmail, "must be an e-mail address"}},
      {StringRules::kHostname, {IsHostname, "must be a host name"}},
      {StringRules::kIp, {IsIp, "must be an IP address"}},
      {StringRules::kIpv4, {IsIp4, "must be an IPv4 address"}},
      {StringRules::kIpv6, {IsIp6, "must be an IPv6 address"}},
      {StringRules::kUri,
       {[](absl::string_view text) { return IsUri(text, false); }, "must be a URI such as https://example.com/"}},
      {StringRules::kUriRef, {[](absl::string_view text) { return IsUri(text, true); }, "must be a URI or a path"}},
      {StringRules::kAddress,
       {[](absl::string_view text) { return IsHostname(text) || IsIp(text); }, "must be a host name or an IP address"}},
      {StringRules::kHostAndPort, {IsHostAndPort, "must be a host and port such as example.com:443"}},
      {StringRules::kUuid, {IsUuid, "must be a UUID"}},
      {StringRules::kTuuid, {IsTrimmedUuid, "must be a UUID without hyphens"}},
      {StringRules::kUlid, {IsUlid, "must be a ULID"}},
  };
  auto it = forms.find(which);
  return it == forms.end() ? nullptr : &it->second;
}

}  // namespace crm::rpc::validation
