// covers: services/messaging/mime_parse.cc
// Letters in any state (GMime): whatever comes out can be stored and shown.
#include <google/protobuf/message.h>

#include "services/messaging/mime.h"
#include "services/messaging/rules/html.h"
#include "services/messaging/rules/threading.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

inline void RequireClean(const std::string& text, TextKind kind, absl::string_view field) {
  Require(IsClean(text, kind), "a letter's " + std::string(field) + " can be stored", text);
}

}  // namespace crm::fuzz

CRM_FUZZ(mime) {
  using namespace crm;
  const messaging::v1::ParsedLetter letter = messaging::ParseLetter(input.Rest());
  const auto& message = letter.message();
  fuzz::RequireClean(message.subject(), TextKind::kLine, "subject");
  fuzz::RequireClean(message.text(), TextKind::kLong, "text");
  fuzz::RequireClean(message.html(), TextKind::kLong, "html");
  fuzz::Require(messaging::SanitizedHtml(message.html()).find("<script") == std::string::npos, "no scripts");
  for (const auto* list : {&message.recipients(), &message.cc()}) {
    for (const auto& box : *list) {
      fuzz::RequireClean(box.address(), TextKind::kLine, "recipient");
      fuzz::RequireClean(box.name(), TextKind::kLine, "recipient");
      fuzz::Require(box.address().find('@') != std::string::npos, "an address is one", box.address());
    }
  }
  fuzz::RequireClean(message.sender().address(), TextKind::kLine, "sender");
  for (const auto& id : message.reference_ids()) fuzz::RequireClean(id, TextKind::kLine, "references");
  fuzz::RequireClean(message.internet_message_id(), TextKind::kLine, "Message-ID");
  fuzz::RequireClean(message.in_reply_to(), TextKind::kLine, "In-Reply-To");
  fuzz::Require(message.attachments_size() == letter.attachment_contents_size(), "each attachment has its content");
  for (int i = 0; i < message.attachments_size(); ++i) {
    const auto& file = message.attachments(i);
    fuzz::RequireClean(file.name(), TextKind::kLine, "attachment");
    fuzz::RequireClean(file.content_type(), TextKind::kLine, "attachment");
    fuzz::RequireClean(file.content_id(), TextKind::kLine, "attachment");
    fuzz::Require(!file.name().empty() && file.name().find_first_of("/\\") == std::string::npos, "a name is no path",
                  file.name());
    fuzz::Require(static_cast<size_t>(file.size_bytes()) == letter.attachment_contents(i).size(),
                  "its size is its size");
  }
  for (const auto& recipient : letter.report().recipients()) {
    fuzz::RequireClean(recipient.address(), TextKind::kLine, "report");
    fuzz::RequireClean(recipient.diagnostic(), TextKind::kLine, "report");
  }
  std::string bytes;
  fuzz::Require(letter.SerializeToString(&bytes), "a letter can be handed over");
  const std::string subject = messaging::AnswerSubject(message.subject());
  fuzz::Require(messaging::AnswerSubject(subject) == subject, "an answer is answered under its own subject", subject);
}
