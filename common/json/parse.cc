#include "common/json/parse.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/stubs/common.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace crm::json::reading {

// Hands events on to the document and stops at the depth limit.
struct Bounded {
  Document& document;
  int depth_max;
  int depth = 0;
  bool too_deep = false, number_too_big = false;

  bool Null() { return document.Null(); }
  bool Bool(bool b) { return document.Bool(b); }
  bool Int(int i) { return document.Int(i); }
  bool Uint(unsigned u) { return document.Uint(u); }
  bool Int64(int64_t i) { return document.Int64(i); }
  bool Uint64(uint64_t u) { return document.Uint64(u); }
  bool Double(double d) { return document.Double(d); }
  // RapidJSON 1.1's own conversion of doubles lets infinity through and rounds; the grammar it has checked.
  bool RawNumber(const char* s, rapidjson::SizeType n, bool) {
    const char* const end = s + n;
    if (std::all_of(s, end, [](char c) { return c == '-' || absl::ascii_isdigit(c); }) && *s != '-') {
      uint64_t whole = 0;
      if (std::from_chars(s, end, whole).ec == std::errc()) return document.Uint64(whole);
    } else if (int64_t whole = 0; std::from_chars(s, end, whole).ptr == end && whole != 0) {  // -0 is a double
      return document.Int64(whole);
    }
    double number = 0;
    if (std::from_chars(s, end, number).ec == std::errc::result_out_of_range) {
      number = std::strtod(std::string(s, n).c_str(), nullptr);  // tells too large from too small
    }
    number_too_big = !std::isfinite(number);
    return !number_too_big && document.Double(number);
  }
  bool String(const char* s, rapidjson::SizeType n, bool copy) { return document.String(s, n, copy); }
  bool Key(const char* s, rapidjson::SizeType n, bool copy) { return document.Key(s, n, copy); }
  bool StartObject() { return Enter() && document.StartObject(); }
  bool EndObject(rapidjson::SizeType n) { return --depth, document.EndObject(n); }
  bool StartArray() { return Enter() && document.StartArray(); }
  bool EndArray(rapidjson::SizeType n) { return --depth, document.EndArray(n); }
  bool Enter() {
    too_deep = ++depth > depth_max;
    return !too_deep;
  }
};

std::string Position(absl::string_view text, std::size_t offset) {
  int line = 1, column = 1;
  for (std::size_t i = 0; i < std::min(offset, text.size()); ++i) {
    if (text[i] == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++column;
    }
  }
  return absl::StrCat("line ", line, ", column ", column);
}

absl::Status BodyError(std::string text) {
  return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID, std::move(text));
}

absl::Status Parsed::Parse(absl::string_view text, const ReadOptions& options) {
  if (text.size() > options.bytes_max) {
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                 absl::StrCat("The JSON has ", text.size(), " bytes; at most ", options.bytes_max,
                              " are taken. Send less at once."),
                 {{"limit", absl::StrCat(options.bytes_max)}});
  }
  const auto bad = static_cast<std::size_t>(
      google::protobuf::internal::UTF8SpnStructurallyValid(google::protobuf::StringPiece(text.data(), text.size())));
  if (bad < text.size()) {
    return BodyError(absl::StrCat("The JSON is not UTF-8 at ", Position(text, bad), ". Send it as UTF-8."));
  }
  if (const auto nul = text.find('\0'); nul != absl::string_view::npos) {
    return BodyError(absl::StrCat("The JSON has a NUL byte at ", Position(text, nul), ". Leave it out."));
  }
  buffer.assign(text.data(), text.size());
  escapes = text.find("\\u") != absl::string_view::npos;
  constexpr unsigned kFlags =
      rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::InsituStringStream stream(buffer.data());
  rapidjson::Reader reader;
  Bounded handler{document, options.depth_max};
  auto generate = [&](Document&) { return !reader.Parse<kFlags>(stream, handler).IsError(); };
  document.Populate(generate);
  if (handler.too_deep) {
    return BodyError(absl::StrCat("The JSON is nested deeper than ", options.depth_max, " levels at ",
                                  Position(text, stream.Tell()), ". Make it flatter."));
  }
  if (reader.HasParseError()) {
    const auto code = handler.number_too_big ? rapidjson::kParseErrorNumberTooBig : reader.GetParseErrorCode();
    return BodyError(absl::StrCat("The body is no JSON: ", rapidjson::GetParseError_En(code), " (",
                                  Position(text, reader.GetErrorOffset()), ")"));
  }
  return absl::OkStatus();
}

}  // namespace crm::json::reading
