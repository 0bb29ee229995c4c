#include "services/messaging/rules/threading.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/base/text.h"

namespace crm::messaging {
namespace threading_internal {

bool IsIdChar(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u > 0x20 && u != 0x7f && c != '<' && c != '>';
}
bool IsId(absl::string_view id) {
  return !id.empty() && id.size() <= kMessageIdBytesMax && std::all_of(id.begin(), id.end(), IsIdChar) && IsClean(id);
}

}  // namespace threading_internal

namespace th = threading_internal;

std::vector<std::string> MessageIdsIn(absl::string_view header) {
  std::vector<std::string> ids;
  size_t at = 0;
  while ((at = header.find('<', at)) != absl::string_view::npos) {
    const size_t end = header.find('>', at);
    if (end == absl::string_view::npos) break;
    const absl::string_view inside = absl::StripAsciiWhitespace(header.substr(at + 1, end - at - 1));
    at = end + 1;
    if (!th::IsId(inside) || std::find(ids.begin(), ids.end(), inside) != ids.end()) continue;
    ids.emplace_back(inside);
  }
  if (ids.size() > kReferencesMax) ids.erase(ids.begin() + 1, ids.end() - static_cast<long>(kReferencesMax - 1));
  return ids;
}

std::string MessageIdOf(absl::string_view header) {
  const auto ids = MessageIdsIn(header);
  if (!ids.empty()) return ids.front();
  header = absl::StripAsciiWhitespace(header);
  return th::IsId(header) && absl::StrContains(header, "@") ? std::string(header) : "";
}

std::string MessageIdFor(const std::string& message_id, const std::string& channel_address) {
  const size_t at = channel_address.rfind('@');
  return absl::StrCat(message_id, "@", at == std::string::npos ? "localhost" : channel_address.substr(at + 1));
}

void AnswerTo(const v1::Message& last, v1::Message& next) {
  if (last.internet_message_id().empty()) return;
  next.set_in_reply_to(last.internet_message_id());
  next.clear_reference_ids();
  for (const auto& id : last.reference_ids()) next.add_reference_ids(id);
  if (last.reference_ids().empty() && !last.in_reply_to().empty()) next.add_reference_ids(last.in_reply_to());
  next.add_reference_ids(last.internet_message_id());
  auto& ids = *next.mutable_reference_ids();
  while (static_cast<size_t>(ids.size()) > kReferencesMax) ids.erase(ids.begin() + 1);
}

std::vector<std::string> ParentsOf(const v1::Message& message) {
  std::vector<std::string> ids;
  if (!message.in_reply_to().empty()) ids.push_back(message.in_reply_to());
  for (int i = message.reference_ids_size() - 1; i >= 0; --i) {
    const std::string& id = message.reference_ids(i);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

std::string AnswerSubject(const std::string& subject) {
  for (const char* prefix : {"re:", "aw:", "sv:", "отв:", "ha:", "השב:"}) {
    if (absl::StartsWithIgnoreCase(subject, prefix) || absl::StartsWith(CaseFold(subject), prefix)) return subject;
  }
  return absl::StrCat("Re: ", subject);
}

}  // namespace crm::messaging
