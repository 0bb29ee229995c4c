#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <gmime/gmime.h>

#include <map>
#include <memory>
#include <optional>

#include "common/base/text.h"
#include "services/messaging/mime.h"
#include "services/messaging/rules/html.h"
#include "services/messaging/rules/threading.h"

namespace crm::messaging {
namespace parse_internal {

// What a letter may hold at most; the rest is left out.
constexpr int kPartsMax = 500;
constexpr int kDepthMax = 20;
constexpr int kAddressesMax = 100;
constexpr int kAttachmentsMax = 50;
constexpr size_t kTextBytesMax = 1 << 20;
constexpr size_t kSubjectLengthMax = 500;
constexpr size_t kNameLengthMax = 200;
constexpr size_t kAddressBytesMax = 254;
constexpr size_t kWordBytesMax = 2000;

struct Free {
  void operator()(void* object) const { g_object_unref(object); }
};
template <typename T>
using Ref = std::unique_ptr<T, Free>;

// UTF-8 that the database and screens can take: what is none becomes U+FFFD, control characters go.
std::string Clean(absl::string_view text, TextKind kind, size_t length_max) {
  std::string out;
  const std::string valid = WellFormed(text);
  for (const char *at = valid.data(), *end = at + valid.size(); at != end;) {
    const char* next = g_utf8_next_char(at);
    absl::string_view one(at, static_cast<size_t>(next - at));
    if (kind == TextKind::kLine && (*at == '\n' || *at == '\r' || *at == '\t')) one = " ";
    if ((kind == TextKind::kLine || *at != '\r') && IsClean(one, kind)) out.append(one.data(), one.size());
    at = next;
  }
  return Truncated(kind == TextKind::kLine ? Squeezed(out) : out, length_max);
}
std::string Line(const char* text, size_t length_max) {
  return text == nullptr ? "" : Clean(text, TextKind::kLine, length_max);
}

// One encoded word of RFC 2047 in base64 at the beginning of `text`: its charset, its text, and how long it is.
struct Word {
  absl::string_view charset, text;
  size_t size = 0;
};
std::optional<Word> WordAt(absl::string_view text) {
  if (!absl::StartsWith(text, "=?")) return std::nullopt;
  // Many beginnings without an end must not each be followed to the letter's end.
  text = text.substr(0, kWordBytesMax + 2);
  const size_t charset = text.find('?', 2);
  if (charset == absl::string_view::npos || charset == 2 || charset + 2 >= text.size() || text[charset + 2] != '?' ||
      (text[charset + 1] != 'B' && text[charset + 1] != 'b')) {
    return std::nullopt;
  }
  const size_t end = text.find("?=", charset + 3);
  if (end == absl::string_view::npos) return std::nullopt;
  return Word{text.substr(2, charset - 2), text.substr(charset + 3, end - charset - 3), end + 2};
}

// GMime 3.2.13 stops at the padding of the first of several base64 words, so that a long subject would lose its end. In
// headers, neighbouring words of one charset are made one; that also mends characters that were cut in two.
std::string JoinedWords(absl::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  bool header = true;
  for (size_t at = 0; at < raw.size();) {
    const bool line_start = at == 0 || raw[at - 1] == '\n';
    if (line_start && header && (raw[at] == '\n' || absl::StartsWith(raw.substr(at), "\r\n"))) header = false;
    if (line_start && !header && absl::StartsWith(raw.substr(at), "--")) header = true;  // a part begins, perhaps
    auto word = header ? WordAt(raw.substr(at)) : std::nullopt;
    if (!word) {
      out += raw[at++];
      continue;
    }
    const std::string charset = absl::AsciiStrToLower(word->charset);
    std::string bytes, more;
    bool decoded = absl::Base64Unescape(word->text, &bytes);
    size_t end = at + word->size;
    int joined = 1;
    while (decoded) {
      const size_t next = raw.find_first_not_of(" \t\r\n", end);
      if (next == absl::string_view::npos || next == end || absl::StrContains(raw.substr(end, next - end), "\n\r\n") ||
          absl::StrContains(raw.substr(end, next - end), "\n\n") || (raw[next - 1] == '\n')) {
        break;
      }
      auto following = WordAt(raw.substr(next));
      if (!following || absl::AsciiStrToLower(following->charset) != charset ||
          !absl::Base64Unescape(following->text, &more))
        break;
      bytes += more;
      end = next + following->size;
      ++joined;
    }
    if (joined > 1) {
      absl::StrAppend(&out, "=?", charset, "?B?", absl::Base64Escape(bytes), "?=");
    } else {
      out.append(raw.data() + at, word->size);
    }
    at = end;
  }
  return out;
}

class Reader {
 public:
  v1::ParsedLetter Read(absl::string_view unjoined) {
    const std::string raw = JoinedWords(unjoined);
    Ref<GMimeStream> stream(g_mime_stream_mem_new_with_buffer(raw.data(), raw.size()));
    Ref<GMimeParser> parser(g_mime_parser_new_with_stream(stream.get()));
    Ref<GMimeMessage> letter(g_mime_parser_construct_message(parser.get(), nullptr));
    v1::Message& message = *letter_.mutable_message();
    message.set_kind(v1::MESSAGE_KIND_EMAIL);
    message.set_direction(v1::MESSAGE_DIRECTION_INBOUND);
    if (!letter) return letter_;
    auto* object = GMIME_OBJECT(letter.get());
    message.set_subject(Line(g_mime_message_get_subject(letter.get()), kSubjectLengthMax));
    std::vector<v1::Mailbox> from = Addresses(g_mime_message_get_from(letter.get()));
    if (from.empty()) from = Addresses(g_mime_message_get_sender(letter.get()));
    if (!from.empty()) *message.mutable_sender() = from.front();
    for (auto& to : Addresses(g_mime_message_get_to(letter.get()))) *message.add_recipients() = std::move(to);
    for (auto& cc : Addresses(g_mime_message_get_cc(letter.get()))) *message.add_cc() = std::move(cc);
    message.set_internet_message_id(MessageIdOf(Header(object, "Message-ID")));
    const auto replied = MessageIdsIn(Header(object, "In-Reply-To"));
    if (!replied.empty()) message.set_in_reply_to(replied.front());
    for (auto& id : MessageIdsIn(Header(object, "References"))) message.add_reference_ids(std::move(id));
    const std::string automatic = absl::AsciiStrToLower(Header(object, "Auto-Submitted"));
    const std::string precedence = absl::AsciiStrToLower(Header(object, "Precedence"));
    message.set_automatic((!automatic.empty() && !absl::StartsWith(automatic, "no")) || precedence == "bulk" ||
                          precedence == "junk" || precedence == "auto_reply" ||
                          !Header(object, "X-Autoreply").empty() || !Header(object, "X-Autorespond").empty());
    if (GMimeObject* part = g_mime_message_get_mime_part(letter.get())) {
      if (IsReport(part)) {
        message.set_automatic(true);
        ReadReport(GMIME_MULTIPART(part));
      }
      Walk(part, 0);
    }
    message.set_text(Clean(text_, TextKind::kLong, kTextBytesMax));
    message.set_html(Clean(SanitizedHtml(html_), TextKind::kLong, kHtmlBytesMax));
    if (message.text().empty() && !html_.empty())
      message.set_text(Clean(HtmlToText(html_), TextKind::kLong, kTextBytesMax));
    return letter_;
  }

 private:
  static std::string Header(GMimeObject* object, const char* name) {
    const char* value = g_mime_object_get_header(object, name);
    return value == nullptr ? "" : std::string(absl::StripAsciiWhitespace(value));
  }

  static std::vector<v1::Mailbox> Addresses(InternetAddressList* list, int depth = 0) {
    std::vector<v1::Mailbox> out;
    const int count = list == nullptr || depth > 2 ? 0 : internet_address_list_length(list);
    for (int i = 0; i < count && static_cast<int>(out.size()) < kAddressesMax; ++i) {
      InternetAddress* address = internet_address_list_get_address(list, i);
      if (INTERNET_ADDRESS_IS_GROUP(address)) {
        for (auto& member : Addresses(internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)), depth + 1))
          out.push_back(std::move(member));
        continue;
      }
      v1::Mailbox mailbox;
      mailbox.set_address(absl::AsciiStrToLower(
          Line(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address)), kAddressBytesMax)));
      if (mailbox.address().size() < 3 || mailbox.address().size() > kAddressBytesMax ||
          mailbox.address().find('@') == std::string::npos)
        continue;
      mailbox.set_name(Line(internet_address_get_name(address), kNameLengthMax));
      out.push_back(std::move(mailbox));
    }
    return out;
  }

  void Walk(GMimeObject* object, int depth) {
    if (depth > kDepthMax || ++parts_ > kPartsMax) return;
    if (GMIME_IS_MULTIPART(object)) {
      auto* multipart = GMIME_MULTIPART(object);
      const int count = g_mime_multipart_get_count(multipart);
      for (int i = 0; i < count; ++i) Walk(g_mime_multipart_get_part(multipart, i), depth + 1);
      return;
    }
    if (GMIME_IS_MESSAGE_PART(object)) {
      // A letter inside the letter is kept as a file.
      Ref<GMimeStream> stream(g_mime_stream_mem_new());
      if (GMimeMessage* inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object))) {
        g_mime_object_write_to_stream(GMIME_OBJECT(inner), nullptr, stream.get());
        AddFile(object, Line(g_mime_message_get_subject(inner), 100) + ".eml", Bytes(stream.get()));
      }
      return;
    }
    if (!GMIME_IS_PART(object)) return;
    auto* part = GMIME_PART(object);
    GMimeContentDisposition* disposition = g_mime_object_get_content_disposition(object);
    const bool attached = disposition != nullptr && g_mime_content_disposition_is_attachment(disposition);
    const char* filename = g_mime_part_get_filename(part);
    GMimeContentType* type = g_mime_object_get_content_type(object);
    if (GMIME_IS_TEXT_PART(object) && !attached && filename == nullptr) {
      char* text = g_mime_text_part_get_text(GMIME_TEXT_PART(object));
      const std::string got = text == nullptr ? "" : std::string(text).substr(0, 4 * kTextBytesMax);
      g_free(text);
      if (g_mime_content_type_is_type(type, "text", "html")) {
        if (html_.size() < kHtmlBytesMax) html_ += got;
      } else if (text_.size() < kTextBytesMax) {
        absl::StrAppend(&text_, text_.empty() ? "" : "\n", got);
      }
      return;
    }
    AddFile(object, Line(filename, 255), Content(part));
  }

  void AddFile(GMimeObject* object, std::string name, std::string content) {
    v1::Message& message = *letter_.mutable_message();
    if (message.attachments_size() >= kAttachmentsMax) return;
    GMimeContentType* type = g_mime_object_get_content_type(object);
    char* type_text = type == nullptr ? nullptr : g_mime_content_type_get_mime_type(type);
    auto* file = message.add_attachments();
    file->set_content_type(type_text == nullptr ? "application/octet-stream"
                                                : absl::AsciiStrToLower(Line(type_text, 100)));
    g_free(type_text);
    // The name is one, never a path.
    if (const size_t slash = name.find_last_of("/\\"); slash != std::string::npos) name = name.substr(slash + 1);
    file->set_name(name.empty() ? absl::StrCat("attachment-", message.attachments_size()) : name);
    file->set_size_bytes(static_cast<int32_t>(content.size()));
    file->set_content_id(Line(g_mime_object_get_content_id(object), 255));
    letter_.add_attachment_contents(std::move(content));
  }

  static std::string Bytes(GMimeStream* stream) {
    const GByteArray* bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    return std::string(reinterpret_cast<const char*>(bytes->data), bytes->len);
  }
  static std::string Content(GMimePart* part) {
    GMimeDataWrapper* wrapper = g_mime_part_get_content(part);
    if (wrapper == nullptr) return "";
    Ref<GMimeStream> stream(g_mime_stream_mem_new());
    g_mime_data_wrapper_write_to_stream(wrapper, stream.get());
    return Bytes(stream.get());
  }

  static bool IsReport(GMimeObject* part) {
    GMimeContentType* type = g_mime_object_get_content_type(part);
    if (!GMIME_IS_MULTIPART(part) || type == nullptr || !g_mime_content_type_is_type(type, "multipart", "report"))
      return false;
    const char* kind = g_mime_content_type_get_parameter(type, "report-type");
    return kind != nullptr && absl::EqualsIgnoreCase(kind, "delivery-status");
  }

  // Groups of header lines, one empty line between them: the message's, then each recipient's.
  void ReadReport(GMimeMultipart* report) {
    auto& out = *letter_.mutable_report();
    const int count = g_mime_multipart_get_count(report);
    for (int i = 0; i < count; ++i) {
      GMimeObject* part = g_mime_multipart_get_part(report, i);
      GMimeContentType* type = g_mime_object_get_content_type(part);
      if (type == nullptr) continue;
      if (g_mime_content_type_is_type(type, "message", "delivery-status") && GMIME_IS_PART(part)) {
        ReadGroups(Content(GMIME_PART(part)), out);
      } else if (GMIME_IS_MESSAGE_PART(part)) {
        if (GMimeMessage* inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(part)))
          out.set_internet_message_id(MessageIdOf(Header(GMIME_OBJECT(inner), "Message-ID")));
      } else if (g_mime_content_type_is_type(type, "text", "rfc822-headers") && GMIME_IS_PART(part)) {
        const std::vector<Group> groups = Lines(Content(GMIME_PART(part)));
        for (const auto& [name, value] : groups.front()) {
          if (name == "message-id") out.set_internet_message_id(MessageIdOf(value));
        }
      }
    }
  }
  using Group = std::vector<std::pair<std::string, std::string>>;
  static std::vector<Group> Lines(const std::string& text) {
    std::vector<Group> groups(1);
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      line = absl::StripSuffix(line, "\r");
      if (line.empty()) {
        if (!groups.back().empty()) groups.emplace_back();
      } else if ((line[0] == ' ' || line[0] == '\t') && !groups.back().empty()) {
        absl::StrAppend(&groups.back().back().second, " ", absl::StripAsciiWhitespace(line));
      } else if (const size_t colon = line.find(':'); colon != absl::string_view::npos) {
        groups.back().emplace_back(absl::AsciiStrToLower(line.substr(0, colon)),
                                   std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
      }
    }
    return groups;
  }
  static void ReadGroups(const std::string& text, v1::DeliveryReport& out) {
    for (const Group& group : Lines(text)) {
      v1::DeliveryReport::Recipient recipient;
      for (const auto& [name, value] : group) {
        const size_t semicolon = value.find(';');  // "rfc822; ada@example.org"
        const absl::string_view after = absl::StripAsciiWhitespace(
            absl::string_view(value).substr(semicolon == std::string::npos ? 0 : semicolon + 1));
        if (name == "final-recipient" || (name == "original-recipient" && recipient.address().empty()))
          recipient.set_address(absl::AsciiStrToLower(Clean(after, TextKind::kLine, kAddressBytesMax)));
        if (name == "action") recipient.set_action(absl::AsciiStrToLower(Clean(value, TextKind::kLine, 20)));
        if (name == "status") recipient.set_status(Clean(value, TextKind::kLine, 20));
        if (name == "diagnostic-code") recipient.set_diagnostic(Clean(after, TextKind::kLine, 500));
      }
      if (!recipient.address().empty() && !recipient.action().empty() && out.recipients_size() < kAddressesMax)
        *out.add_recipients() = recipient;
    }
  }

  v1::ParsedLetter letter_;
  std::string text_, html_;
  int parts_ = 0;
};

}  // namespace parse_internal

v1::ParsedLetter ParseLetter(absl::string_view raw) {
  static const bool ready = [] {
    g_mime_init();
    return true;
  }();
  (void)ready;
  return parse_internal::Reader().Read(raw);
}

}  // namespace crm::messaging
