#include "services/gateway/compress.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <zlib.h>

#include "common/base/error.h"

namespace crm::gateway {

bool AcceptsGzip(std::string_view accept_encoding) {
  double gzip = -1, any = -1;
  for (absl::string_view part :
       absl::StrSplit(absl::string_view(accept_encoding.data(), accept_encoding.size()), ',')) {
    std::vector<absl::string_view> pieces = absl::StrSplit(part, ';');
    absl::string_view name = absl::StripAsciiWhitespace(pieces[0]);
    double weight = 1;
    for (size_t i = 1; i < pieces.size(); ++i) {
      absl::string_view piece = absl::StripAsciiWhitespace(pieces[i]);
      if (absl::ConsumePrefix(&piece, "q=") && !absl::SimpleAtod(piece, &weight)) weight = 0;
    }
    if (absl::EqualsIgnoreCase(name, "gzip") || absl::EqualsIgnoreCase(name, "x-gzip")) gzip = weight;
    if (name == "*") any = weight;
  }
  return gzip > 0 || (gzip < 0 && any > 0);
}

std::string Gzip(std::string_view text) {
  z_stream stream{};
  // 15 + 16: a gzip header. The fastest level: on JSON it gives most of what the best one does.
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(text.size(), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(done ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

absl::StatusOr<std::string> Gunzip(std::string_view text, size_t bytes_max) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return absl::InternalError("zlib has no memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK && out.size() <= bytes_max) {
    constexpr size_t kStep = 64 << 10;
    size_t have = out.size();
    out.resize(have + kStep);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    stream.avail_out = kStep;
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(have + kStep - stream.avail_out);
  }
  bool whole = state == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (out.size() > bytes_max) {
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                 absl::StrCat("the body is larger than ", bytes_max, " bytes when it is unpacked: send it in parts"),
                 {{"limit", absl::StrCat(bytes_max)}});
  }
  if (!whole) {
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
                 "the body says that it is gzip, and it is not");
  }
  return out;
}

}  // namespace crm::gateway
