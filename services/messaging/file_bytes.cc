// What can be said of bytes alone: ranges, types, digests.
#define OPENSSL_SUPPRESS_DEPRECATED  // the EVP interface cannot put a digest aside
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <magic.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>

#include "common/base/error.h"
#include "services/messaging/files.h"

namespace crm::messaging {
namespace file_bytes {

// No length of content has more digits.
constexpr size_t kDigitsMax = 15;

bool ReadNumber(absl::string_view text, int64_t& out) {
  if (text.empty() || text.size() > kDigitsMax) return false;
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) && absl::SimpleAtoi(text, &out);
}

SHA256_CTX* At(std::string& context) { return reinterpret_cast<SHA256_CTX*>(context.data()); }

// One per thread: libmagic's handle is not to be shared, and takes milliseconds to open.
struct Magic {
  Magic() : cookie(magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF)) {
    if (cookie != nullptr && magic_load(cookie, nullptr) != 0) {
      magic_close(cookie);
      cookie = nullptr;
    }
  }
  ~Magic() {
    if (cookie != nullptr) magic_close(cookie);
  }
  magic_t cookie;
};

}  // namespace file_bytes

int PartBytes(const v1::File& file, int number) {
  return std::min(kFilePartBytes, file.size_bytes() - (number - 1) * kFilePartBytes);
}

absl::StatusOr<ByteRange> ParseRange(absl::string_view header, int64_t size) {
  const ByteRange whole{0, size - 1, false};
  header = absl::StripAsciiWhitespace(header);
  if (!absl::StartsWithIgnoreCase(header, "bytes=")) return whole;
  header.remove_prefix(6);
  if (absl::StrContains(header, ",")) return whole;
  const size_t dash = header.find('-');
  if (dash == absl::string_view::npos) return whole;
  const absl::string_view from = absl::StripAsciiWhitespace(header.substr(0, dash));
  const absl::string_view to = absl::StripAsciiWhitespace(header.substr(dash + 1));
  const auto behind = [&] {
    return Error(absl::StatusCode::kOutOfRange, type::v1::ERROR_REASON_FIELD_INVALID,
                 absl::StrCat("the range begins behind the end: the file has ", size, " bytes"),
                 {{"size_bytes", absl::StrCat(size)}});
  };
  ByteRange range{0, size - 1, true};
  if (from.empty()) {  // the last so many
    int64_t last = 0;
    if (!file_bytes::ReadNumber(to, last)) return whole;
    if (last == 0 || size == 0) return behind();
    range.first = std::max<int64_t>(0, size - last);
    return range;
  }
  if (!file_bytes::ReadNumber(from, range.first)) return whole;
  if (!to.empty()) {
    int64_t last = 0;
    if (!file_bytes::ReadNumber(to, last) || last < range.first) return whole;
    range.last = std::min(last, size - 1);
  }
  if (range.first >= size) return behind();
  return range;
}

std::string ContentTypeOf(absl::string_view beginning) {
  constexpr const char* kUnknown = "application/octet-stream";
  if (beginning.empty()) return kUnknown;
  thread_local file_bytes::Magic magic;
  if (magic.cookie == nullptr) return kUnknown;
  const char* type = magic_buffer(magic.cookie, beginning.data(), beginning.size());
  return type == nullptr || *type == '\0' ? kUnknown : type;
}

bool MayShowInline(absl::string_view content_type) {
  // Not SVG, HTML or XML: those can hold scripts.
  static constexpr absl::string_view kHarmless[] = {"image/png",  "image/jpeg",      "image/gif",
                                                    "image/webp", "application/pdf", "text/plain"};
  return std::find(std::begin(kHarmless), std::end(kHarmless), content_type) != std::end(kHarmless) ||
         absl::StartsWith(content_type, "audio/") || absl::StartsWith(content_type, "video/");
}

static_assert(std::is_trivially_copyable_v<SHA256_CTX>, "put aside as bytes");

Digest::Digest() : context_(sizeof(SHA256_CTX), '\0') { SHA256_Init(file_bytes::At(context_)); }

absl::StatusOr<Digest> Digest::Resume(absl::string_view state) {
  Digest digest;
  if (state.size() != digest.context_.size()) return absl::DataLossError("a digest that was put aside cannot be read");
  digest.context_.assign(state.data(), state.size());
  return digest;
}

void Digest::Add(absl::string_view bytes) { SHA256_Update(file_bytes::At(context_), bytes.data(), bytes.size()); }

std::string Digest::State() const { return context_; }

std::string Digest::Hex() const {
  std::string copy = context_;
  unsigned char out[SHA256_DIGEST_LENGTH];
  SHA256_Final(out, file_bytes::At(copy));
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(out), sizeof out));
}

}  // namespace crm::messaging
