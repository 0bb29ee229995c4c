// Path templates of google.api.http ("/v1/deals/{id}:move", "/v1/{name=files/*}/parts/**") and request targets.
// Follows google/api/http.proto and RFC 3986.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace crm::gateway {

// A template in parts. Segments hold literals, "*" for exactly one segment and, at the end only, "**" for any number.
struct PathTemplate {
  struct Variable {
    std::string field;  // path in the request message: "id", "contact.id"
    size_t begin = 0;   // the segments that it covers
    size_t end = 0;
  };
  std::vector<std::string> segments;
  std::vector<Variable> variables;
  std::string verb;  // after the colon of the last segment; empty if none

  // The template with its variables' names left out, equal for two templates that match the same paths:
  // "/v1/deals/*:move".
  std::string Shape() const;
};
absl::StatusOr<PathTemplate> ParsePathTemplate(std::string_view text);

// "%41b" -> "Ab". Refuses broken escapes, NUL bytes and what is no UTF-8 afterwards. `plus` turns '+' into a space
// (forms and queries). `keep_slash` leaves %2F as it is, for variables of several segments.
absl::StatusOr<std::string> PercentDecode(std::string_view text, bool plus = false, bool keep_slash = false);

// "a=1&b=x%20y" -> pairs in order. At most `max` of them.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseQuery(std::string_view query, size_t max = 200);

}  // namespace crm::gateway
