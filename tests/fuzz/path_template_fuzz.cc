// covers: services/gateway/path_template.cc
// Path templates, percent-encoding and queries.
#include <absl/strings/str_cat.h>

#include "services/gateway/path_template.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(path_template) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  const std::string_view view(text.data(), text.size());
  if (const auto parsed = gateway::ParsePathTemplate(view); parsed.ok()) {
    for (const auto& variable : parsed->variables) {
      fuzz::Require(variable.begin < variable.end && variable.end <= parsed->segments.size(),
                    "a variable covers segments that there are", text);
    }
    const auto shape = gateway::ParsePathTemplate(parsed->Shape());
    fuzz::Require(shape.ok() && shape->segments == parsed->segments && shape->verb == parsed->verb,
                  "a template's shape is a template", parsed->Shape());
  }
  for (const bool plus : {false, true}) {
    const auto decoded = gateway::PercentDecode(view, plus);
    if (!decoded.ok()) {
      fuzz::RequireRefusal(decoded.status());
      continue;
    }
    fuzz::Require(IsUtf8(*decoded) && decoded->size() <= text.size(), "decoded texts are UTF-8, and shorter", *decoded);
    std::string encoded;
    for (const unsigned char c : *decoded) absl::StrAppend(&encoded, "%", absl::Hex(c, absl::kZeroPad2));
    fuzz::Require(gateway::PercentDecode(encoded, plus).value_or("-") == *decoded, "escapes stand for their bytes",
                  encoded);
  }
  const auto query = gateway::ParseQuery(view);
  if (!query.ok()) return fuzz::RequireRefusal(query.status());
  fuzz::Require(query->size() <= 200, "there are so many parameters and no more");
  for (const auto& [name, value] : *query) fuzz::Require(IsUtf8(name) && IsUtf8(value), "parameters are UTF-8", text);
}
