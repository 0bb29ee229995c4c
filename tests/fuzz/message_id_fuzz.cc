// covers: services/messaging/rules/threading.cc#IsId,MessageIdsIn,MessageIdOf,AnswerSubject
// Message-IDs, as letters name each other: what is found is found again where we write it.
#include <absl/strings/str_cat.h>

#include "services/messaging/rules/threading.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(message_id) {
  using namespace crm;
  const absl::string_view header = input.Rest();
  const auto ids = messaging::MessageIdsIn(header);
  fuzz::Require(ids.size() <= messaging::kReferencesMax, "a chain is bounded");
  std::string written;
  for (const auto& id : ids) {
    fuzz::Require(IsClean(id) && id.size() <= messaging::kMessageIdBytesMax, "an id can be stored", id);
    absl::StrAppend(&written, "<", id, "> ");
  }
  fuzz::Require(messaging::MessageIdsIn(written) == ids, "ids are read as they are written", written);
  const std::string first = messaging::MessageIdOf(header);
  fuzz::Require(ids.empty() || first == ids.front(), "the first is the first", first);
  if (!IsUtf8(header)) return;
  const std::string subject = messaging::AnswerSubject(std::string(header));
  fuzz::Require(messaging::AnswerSubject(subject) == subject, "one Re: is enough", subject);
}
