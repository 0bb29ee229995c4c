// The words of LMTP (RFC 2033, with SMTP's grammar of RFC 5321, SMTPUTF8 of RFC 6531). Pure.
#pragma once

#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>

namespace crm::messaging {

// A command line, with its CRLF (RFC 5321 4.5.3.1.4 and the extensions' additions).
inline constexpr size_t kLmtpLineMax = 2048;

struct LmtpCommand {
  enum class Verb { kUnknown, kLhlo, kHelo, kMail, kRcpt, kData, kRset, kNoop, kQuit, kVrfy };
  Verb verb = Verb::kUnknown;
  std::string address;          // of MAIL FROM (may be empty: a report) and RCPT TO, without its brackets
  std::optional<int64_t> size;  // SIZE= of MAIL FROM
  std::string error;            // an answer such as "501 5.5.4 ..." if the line cannot be taken
};
// Reads a line without its CRLF.
LmtpCommand ReadCommand(absl::string_view line);

// The address that the directory is asked for: lower case, without a tag ("sales+x@" -> "sales@").
std::string DirectoryAddress(absl::string_view address);

// Takes a letter's bytes as they come, undoes the dots, and finds the end: CRLF . CRLF and nothing else, so that nobody
// smuggles a second letter past us with bare line ends.
class LmtpData {
 public:
  explicit LmtpData(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Answers how many bytes it took; all of them unless the end is among them.
  size_t Feed(absl::string_view bytes);
  bool ended() const { return ended_; }
  // More than allowed came: the rest was read and thrown away.
  bool too_large() const { return too_large_; }
  const std::string& letter() const { return letter_; }
  std::string Take() { return std::move(letter_); }

 private:
  enum class At { kLineStart, kText, kCr, kDot, kDotCr };
  void Put(char c);

  const size_t bytes_max_;
  At at_ = At::kLineStart;
  bool ended_ = false, too_large_ = false;
  std::string letter_;
};

}  // namespace crm::messaging
