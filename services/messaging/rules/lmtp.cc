#include "services/messaging/rules/lmtp.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <algorithm>

#include "common/base/text.h"

namespace crm::messaging {
namespace lmtp_internal {

constexpr size_t kAddressMax = 254;

// "<user@example.org> SIZE=1000 BODY=8BITMIME" behind "FROM:" or "TO:".
void ReadPath(absl::string_view rest, bool mail, LmtpCommand& command) {
  rest = absl::StripLeadingAsciiWhitespace(rest);
  const size_t end = rest.find('>');
  if (!absl::StartsWith(rest, "<") || end == absl::string_view::npos) {
    command.error = "501 5.5.4 the address must stand in angle brackets";
    return;
  }
  absl::string_view address = rest.substr(1, end - 1);
  // A source route is obsolete and ignored (RFC 5321 appendix C).
  if (absl::StartsWith(address, "@"))
    address = address.substr(
        std::min(address.find(':') == absl::string_view::npos ? 0 : address.find(':') + 1, address.size()));
  if (address.size() > kAddressMax || !IsClean(address) || address.find(' ') != absl::string_view::npos ||
      (!mail && address.find('@') == absl::string_view::npos)) {
    command.error = mail ? "501 5.1.7 that is no address" : "501 5.1.3 that is no address";
    return;
  }
  command.address = std::string(address);
  for (absl::string_view parameter : absl::StrSplit(rest.substr(end + 1), ' ', absl::SkipEmpty())) {
    const std::string name = absl::AsciiStrToUpper(parameter.substr(0, parameter.find('=')));
    int64_t size = 0;
    if (mail && name == "SIZE" && absl::SimpleAtoi(parameter.substr(std::min(parameter.size(), size_t{5})), &size) &&
        size >= 0) {
      command.size = size;
    } else if (!(mail && (name == "BODY" || name == "SMTPUTF8" || name == "RET" || name == "ENVID")) &&
               !(!mail && (name == "NOTIFY" || name == "ORCPT"))) {
      command.error = "555 5.5.4 a parameter is not known here";
      return;
    }
  }
}

}  // namespace lmtp_internal

LmtpCommand ReadCommand(absl::string_view line) {
  LmtpCommand command;
  if (!IsUtf8(line) ||
      std::any_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; })) {
    command.error = "500 5.5.2 the line holds control characters, or ends without CRLF";
    return command;
  }
  const size_t space = std::min(line.find(' '), line.size());
  const std::string verb = absl::AsciiStrToUpper(line.substr(0, space));
  const absl::string_view rest = absl::StripAsciiWhitespace(line.substr(space));
  using Verb = LmtpCommand::Verb;
  if (verb == "LHLO") {
    command.verb = Verb::kLhlo;
    if (rest.empty()) command.error = "501 5.5.4 LHLO needs a name";
  } else if (verb == "HELO" || verb == "EHLO") {
    command.verb = Verb::kHelo;
  } else if (verb == "MAIL" && absl::StartsWithIgnoreCase(rest, "FROM:")) {
    command.verb = Verb::kMail;
    lmtp_internal::ReadPath(rest.substr(5), true, command);
  } else if (verb == "RCPT" && absl::StartsWithIgnoreCase(rest, "TO:")) {
    command.verb = Verb::kRcpt;
    lmtp_internal::ReadPath(rest.substr(3), false, command);
  } else if (verb == "DATA") {
    command.verb = Verb::kData;
    if (!rest.empty()) command.error = "501 5.5.4 DATA takes nothing behind it";
  } else if (verb == "RSET") {
    command.verb = Verb::kRset;
  } else if (verb == "NOOP") {
    command.verb = Verb::kNoop;
  } else if (verb == "QUIT") {
    command.verb = Verb::kQuit;
  } else if (verb == "VRFY") {
    command.verb = Verb::kVrfy;
  } else {
    command.error = "500 5.5.2 the command is not known here";
  }
  return command;
}

std::string DirectoryAddress(absl::string_view address) {
  std::string folded = CaseFold(address);
  const size_t at = folded.rfind('@');
  if (at == std::string::npos) return folded;
  const size_t plus = folded.find('+');
  if (plus != std::string::npos && plus > 0 && plus < at) folded.erase(plus, at - plus);
  return folded;
}

size_t LmtpData::Feed(absl::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (ended_) return i;
    const char c = bytes[i];
    switch (at_) {
      case At::kLineStart:
        if (c == '.') {
          at_ = At::kDot;
          continue;
        }
        break;
      case At::kDot:
        if (c == '\r') {
          at_ = At::kDotCr;
          continue;
        }
        // The first dot of a line that goes on was added by the sender: it goes, what follows stays.
        at_ = At::kText;
        break;
      case At::kDotCr:
        if (c == '\n') {
          ended_ = true;
          continue;
        }
        Put('\r');
        at_ = At::kText;
        break;
      case At::kText:
        break;
      case At::kCr:
        if (c == '\n') {
          Put(c);
          at_ = At::kLineStart;
          continue;
        }
        at_ = At::kText;
        break;
    }
    Put(c);
    at_ = c == '\r' ? At::kCr : At::kText;
  }
  return bytes.size();
}

void LmtpData::Put(char c) {
  if (too_large_) return;
  letter_ += c;
  if (letter_.size() <= bytes_max_) return;
  too_large_ = true;
  std::string().swap(letter_);
}

}  // namespace crm::messaging
