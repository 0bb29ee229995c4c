#include "services/gateway/path_template.h"

#include <absl/strings/str_cat.h>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/base/text.h"

namespace crm::gateway {
namespace path_template {

bool IsIdentifier(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  for (char c : text) {
    if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) return false;
  }
  return true;
}

bool IsFieldPath(std::string_view text) {
  while (true) {
    size_t dot = text.find('.');
    if (!IsIdentifier(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// Literals are compared with the raw path, so they are limited to characters that need no escaping.
bool IsLiteral(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                 c == '.' || c == '~';
    if (!plain) return false;
  }
  return true;
}

absl::Status Broken(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("path template \"", std::string(text), "\": ", std::string(why)));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace path_template

std::string PathTemplate::Shape() const {
  std::string shape;
  for (const auto& segment : segments) shape += "/" + segment;
  if (!verb.empty()) shape += ":" + verb;
  return shape;
}

absl::StatusOr<PathTemplate> ParsePathTemplate(std::string_view text) {
  using path_template::Broken;
  PathTemplate out;
  std::string_view rest = text;
  if (rest.empty() || rest[0] != '/') return Broken(text, "must begin with /");

  // The verb: a colon outside of braces, in the last segment.
  size_t last_slash = rest.rfind('/'), last_brace = rest.rfind('}'), colon = rest.rfind(':');
  if (colon != std::string_view::npos && colon > last_slash &&
      (last_brace == std::string_view::npos || colon > last_brace)) {
    out.verb = std::string(rest.substr(colon + 1));
    if (!path_template::IsLiteral(out.verb))
      return Broken(text, "the verb after : is empty or has a strange character");
    rest = rest.substr(0, colon);
  }

  auto add_segment = [&](std::string_view segment) -> absl::Status {
    if (!out.segments.empty() && out.segments.back() == "**") return Broken(text, "** must be the last segment");
    if (segment != "*" && segment != "**" && !path_template::IsLiteral(segment)) {
      return Broken(text, "a segment is empty or has a strange character");
    }
    out.segments.emplace_back(segment);
    return absl::OkStatus();
  };

  while (!rest.empty()) {
    if (rest[0] != '/') return Broken(text, "a variable must fill its segment");
    rest.remove_prefix(1);
    if (rest.empty() || rest[0] != '{') {
      size_t end = rest.find('/');
      CRM_TRY(add_segment(rest.substr(0, end)));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
      continue;
    }
    size_t close = rest.find('}');
    if (close == std::string_view::npos) return Broken(text, "} is missing");
    std::string_view inside = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
    size_t equals = inside.find('=');
    std::string_view field = inside.substr(0, equals);
    if (!path_template::IsFieldPath(field)) return Broken(text, "a variable's name is no field path");
    for (const auto& other : out.variables) {
      if (other.field == field) return Broken(text, "a variable stands twice");
    }
    PathTemplate::Variable variable{std::string(field), out.segments.size(), 0};
    std::string_view pattern = equals == std::string_view::npos ? std::string_view("*") : inside.substr(equals + 1);
    while (true) {
      size_t slash = pattern.find('/');
      CRM_TRY(add_segment(pattern.substr(0, slash)));
      if (slash == std::string_view::npos) break;
      pattern.remove_prefix(slash + 1);
    }
    variable.end = out.segments.size();
    out.variables.push_back(std::move(variable));
  }
  if (out.segments.empty()) return Broken(text, "has no segments");
  return out;
}

absl::StatusOr<std::string> PercentDecode(std::string_view text, bool plus, bool keep_slash) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      int high = i + 2 < text.size() ? path_template::HexDigit(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? path_template::HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
                     "the address has a % that two hexadecimal digits do not follow: write a percent sign as %25");
      }
      char decoded = static_cast<char>(high * 16 + low);
      if (keep_slash && decoded == '/') {
        out.append(text.substr(i, 3));
      } else {
        out.push_back(decoded);
      }
      i += 2;
    } else if (plus && c == '+') {
      out.push_back(' ');
    } else {
      out.push_back(c);
    }
  }
  if (out.find('\0') != std::string::npos) {
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
                 "the address has a NUL byte (%00): leave it out");
  }
  if (!IsUtf8(out)) {
    return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID,
                 "the address is not UTF-8: escape text as the percent-encoded bytes of its UTF-8 form");
  }
  return out;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseQuery(std::string_view query, size_t max) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) continue;
    if (out.size() == max) {
      return Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                   absl::StrCat("more than ", max, " parameters: send fewer"), {{"limit", absl::StrCat(max)}});
    }
    size_t equals = pair.find('=');
    CRM_TRY(std::string name, PercentDecode(pair.substr(0, equals), true));
    CRM_TRY(std::string value,
            PercentDecode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true));
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

}  // namespace crm::gateway
