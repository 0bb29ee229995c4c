// covers: services/messaging/mime_build.cc
// Letters that we write of anybody's words: they are read as they were meant, and no word becomes a header of its own.
#include <absl/strings/match.h>
#include <absl/strings/str_split.h>

#include "services/messaging/mime.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(letter) {
  using namespace crm;
  static const std::string kNames[] = {"From",
                                       "To",
                                       "Cc",
                                       "Subject",
                                       "Message-Id",
                                       "Date",
                                       "In-Reply-To",
                                       "References",
                                       "Content-Type",
                                       "Content-Transfer-Encoding",
                                       "Content-Disposition",
                                       "MIME-Version"};
  messaging::v1::Message message;
  message.set_subject(std::string(input.Line()));
  message.mutable_sender()->set_name(std::string(input.Line()));
  message.mutable_sender()->set_address("anna@example.org");
  auto* to = message.add_recipients();
  to->set_name(std::string(input.Line()));
  to->set_address("boris@example.org");
  messaging::OutgoingFile file{std::string(input.Line()), "text/plain", "content"};
  message.set_internet_message_id("1@example.org");
  message.set_text(std::string(input.Rest()));
  // What does not pass was refused when it was written.
  for (absl::string_view line : {absl::string_view(message.subject()), absl::string_view(message.sender().name()),
                                 absl::string_view(to->name()), absl::string_view(file.name)}) {
    if (!IsClean(line) || Squeezed(line) != line || LengthOf(line) > 150) return;
    // Who types an encoded word of RFC 2047 sends one: GMime passes it on.
    if (absl::StrContains(line, "=?")) return;
    // GMime breaks a word that is longer than an encoded one may be, and loses a "=" at which it does.
    for (absl::string_view word : absl::StrSplit(line, ' ')) {
      if (word.size() > 60 && absl::StrContains(word, '=')) return;
    }
  }
  if (!IsClean(message.text(), TextKind::kLong) || message.text().empty()) return;
  message.set_html("<p>x</p>");

  const std::string bytes = messaging::BuildLetter(message, {file}, absl::FromUnixSeconds(1795424400));
  for (absl::string_view line : absl::StrSplit(bytes.substr(0, bytes.find("\r\n\r\n")), "\r\n")) {
    fuzz::Require(line.size() <= 998, "a line is as long as RFC 5322 lets it be", line);
    if (absl::StartsWith(line, " ") || absl::StartsWith(line, "\t")) continue;  // goes on
    const absl::string_view name = line.substr(0, line.find(':'));
    fuzz::Require(std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames), "no header but ours",
                  line);
  }
  const auto read = messaging::ParseLetter(bytes);
  const auto& got = read.message();
  fuzz::Require(got.subject() == message.subject(), "the subject arrives", got.subject());
  fuzz::Require(got.sender().address() == "anna@example.org" && got.recipients_size() == 1 &&
                    got.recipients(0).address() == "boris@example.org",
                "addresses arrive, and no others", got.ShortDebugString());
  fuzz::Require(got.sender().name() == message.sender().name(), "names arrive", got.sender().name());
  fuzz::Require(read.attachment_contents_size() == 1 && read.attachment_contents(0) == file.content, "files arrive");
}
