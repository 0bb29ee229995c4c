// covers: services/messaging/rules/lmtp.cc
// LMTP's words, and letters that come in any pieces: where a letter ends does not depend on how it was cut.
#include "services/messaging/rules/lmtp.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(lmtp) {
  using namespace crm;
  const size_t piece = 1 + input.Byte() % 16;
  const absl::string_view text = input.Rest();
  for (absl::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find("\r\n"), rest.size());
    const messaging::LmtpCommand command = messaging::ReadCommand(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 2, rest.size()));
    fuzz::Require(
        command.error.empty() || (command.error.size() > 4 && command.error[0] == '5' && command.error[3] == ' '),
        "an error is an answer", command.error);
    fuzz::Require(!command.error.empty() ||
                      (IsClean(command.address) && command.address.find_first_of(" >") == std::string::npos),
                  "an address is one", command.address);
    fuzz::Require(!command.size || *command.size >= 0, "a size is one");
    const std::string directory = messaging::DirectoryAddress(command.address);
    fuzz::Require(messaging::DirectoryAddress(directory) == directory, "looked up as it is kept", directory);
  }

  constexpr size_t kMax = 2000;
  messaging::LmtpData whole(kMax), parts(kMax);
  const size_t taken = whole.Feed(text);
  size_t at = 0;
  while (at < text.size() && !parts.ended()) {
    const absl::string_view some = text.substr(at, piece);
    const size_t took = parts.Feed(some);
    at += took;
    if (took < some.size()) break;
  }
  fuzz::Require(at == taken && parts.ended() == whole.ended() && parts.too_large() == whole.too_large(),
                "pieces do not matter");
  fuzz::Require(parts.letter() == whole.letter(), "pieces make the same letter");
  fuzz::Require(whole.letter().size() <= kMax, "a letter is not larger than allowed");
  fuzz::Require(
      whole.ended() ? absl::string_view(text.substr(0, taken)).substr(taken - 3) == ".\r\n" : taken == text.size(),
      "a letter ends with a dot on its line");
}
