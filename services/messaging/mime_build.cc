#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmime/gmime.h>

#include <memory>
#include <mutex>

#include "services/messaging/mime.h"

namespace crm::messaging {
namespace mime_internal {

void InitMime() {
  static std::once_flag once;
  std::call_once(once, [] { g_mime_init(); });
}

struct Unref {
  void operator()(void* object) const { g_object_unref(object); }
};
template <typename T>
using Ref = std::unique_ptr<T, Unref>;

Ref<GMimeObject> TextPart(const char* subtype, const std::string& text) {
  GMimeTextPart* part = g_mime_text_part_new_with_subtype(subtype);
  g_mime_text_part_set_charset(part, "utf-8");
  g_mime_text_part_set_text(part, text.c_str());
  // Quoted-printable leaves Latin text readable; base64 is shorter for all others. Either survives 7-bit servers.
  size_t high = 0;
  for (unsigned char c : text) high += c >= 0x80 ? 1 : 0;
  g_mime_part_set_content_encoding(GMIME_PART(part), high * 3 > text.size() ? GMIME_CONTENT_ENCODING_BASE64
                                                                            : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
  return Ref<GMimeObject>(GMIME_OBJECT(part));
}

Ref<GMimeObject> FilePart(const OutgoingFile& file) {
  std::string type = "application", subtype = "octet-stream";
  if (const size_t slash = file.content_type.find('/'); slash != std::string::npos) {
    type = file.content_type.substr(0, slash);
    subtype = file.content_type.substr(slash + 1);
  }
  GMimePart* part = g_mime_part_new_with_type(type.c_str(), subtype.c_str());
  Ref<GMimeStream> stream(g_mime_stream_mem_new_with_buffer(file.content.data(), file.content.size()));
  Ref<GMimeDataWrapper> content(g_mime_data_wrapper_new_with_stream(stream.get(), GMIME_CONTENT_ENCODING_DEFAULT));
  g_mime_part_set_content(part, content.get());
  g_mime_part_set_content_encoding(part, GMIME_CONTENT_ENCODING_BASE64);
  g_mime_object_set_disposition(GMIME_OBJECT(part), GMIME_DISPOSITION_ATTACHMENT);
  g_mime_part_set_filename(part, file.name.empty() ? "file" : file.name.c_str());
  return Ref<GMimeObject>(GMIME_OBJECT(part));
}

void AddAddress(GMimeMessage* message, GMimeAddressType type, const v1::Mailbox& mailbox) {
  g_mime_message_add_mailbox(message, type, mailbox.name().empty() ? nullptr : mailbox.name().c_str(),
                             mailbox.address().c_str());
}

}  // namespace mime_internal

namespace mi = mime_internal;

std::string BuildLetter(const v1::Message& message, const std::vector<OutgoingFile>& files, absl::Time date) {
  mi::InitMime();
  mi::Ref<GMimeMessage> letter(g_mime_message_new(TRUE));
  mi::AddAddress(letter.get(), GMIME_ADDRESS_TYPE_FROM, message.sender());
  for (const auto& to : message.recipients()) mi::AddAddress(letter.get(), GMIME_ADDRESS_TYPE_TO, to);
  for (const auto& cc : message.cc()) mi::AddAddress(letter.get(), GMIME_ADDRESS_TYPE_CC, cc);
  g_mime_message_set_subject(letter.get(), message.subject().c_str(), "utf-8");
  g_mime_message_set_message_id(letter.get(), message.internet_message_id().c_str());
  std::unique_ptr<GDateTime, decltype(&g_date_time_unref)> when(
      g_date_time_new_from_unix_utc(absl::ToUnixSeconds(date)), g_date_time_unref);
  g_mime_message_set_date(letter.get(), when.get());
  auto* object = GMIME_OBJECT(letter.get());
  if (!message.in_reply_to().empty())
    g_mime_object_set_header(object, "In-Reply-To", absl::StrCat("<", message.in_reply_to(), ">").c_str(), nullptr);
  if (!message.reference_ids().empty()) {
    std::string references;
    for (const auto& id : message.reference_ids())
      absl::StrAppend(&references, references.empty() ? "" : " ", "<", id, ">");
    g_mime_object_set_header(object, "References", references.c_str(), nullptr);
  }

  mi::Ref<GMimeObject> body = mi::TextPart("plain", message.text());
  if (!message.html().empty()) {
    mi::Ref<GMimeMultipart> both(g_mime_multipart_new_with_subtype("alternative"));
    mi::Ref<GMimeObject> html = mi::TextPart("html", message.html());
    g_mime_multipart_add(both.get(), body.get());
    g_mime_multipart_add(both.get(), html.get());
    body.reset(GMIME_OBJECT(both.release()));
  }
  if (!files.empty()) {
    mi::Ref<GMimeMultipart> mixed(g_mime_multipart_new_with_subtype("mixed"));
    g_mime_multipart_add(mixed.get(), body.get());
    for (const auto& file : files) {
      mi::Ref<GMimeObject> part = mi::FilePart(file);
      g_mime_multipart_add(mixed.get(), part.get());
    }
    body.reset(GMIME_OBJECT(mixed.release()));
  }
  g_mime_message_set_mime_part(letter.get(), body.get());

  GMimeFormatOptions* format = g_mime_format_options_new();
  g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
  mi::Ref<GMimeStream> stream(g_mime_stream_mem_new());
  mi::Ref<GMimeStream> filtered(g_mime_stream_filter_new(stream.get()));
  mi::Ref<GMimeFilter> dos(g_mime_filter_unix2dos_new(TRUE));
  g_mime_stream_filter_add(GMIME_STREAM_FILTER(filtered.get()), dos.get());
  g_mime_object_write_to_stream(object, format, filtered.get());
  g_mime_stream_flush(filtered.get());
  g_mime_format_options_free(format);
  const GByteArray* bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream.get()));
  return std::string(reinterpret_cast<const char*>(bytes->data), bytes->len);
}

}  // namespace crm::messaging
