// covers: common/json/text.cc common/obs/log.cc#AppendJsonString
// Durations, moments, numbers and base64 in JSON: written as something that reads the same.
#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>

#include <nlohmann/json.hpp>

#include "common/json/json.h"
#include "common/json/text.h"
#include "common/obs/log.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(json_text) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  const auto bare = [](const std::string& quoted) { return quoted.substr(1, quoted.size() - 2); };
  if (const auto duration = json::text::ParseDuration(text)) {
    std::string written;
    fuzz::Require(json::text::AppendDuration(duration->seconds, duration->nanos, written), "a duration can be written",
                  text);
    const auto again = json::text::ParseDuration(bare(written));
    fuzz::Require(again && again->seconds == duration->seconds && again->nanos == duration->nanos, "a duration stays",
                  written);
  }
  if (const auto moment = json::text::ParseTimestamp(text)) {
    std::string written;
    fuzz::Require(json::text::AppendTimestamp(moment->seconds, moment->nanos, written), "a moment can be written",
                  text);
    const auto again = json::text::ParseTimestamp(bare(written));
    fuzz::Require(again && again->seconds == moment->seconds && again->nanos == moment->nanos, "a moment stays",
                  written);
  }
  if (const auto bytes = json::text::ParseBase64(text)) {
    fuzz::Require(json::text::ParseBase64(absl::Base64Escape(*bytes)) == bytes, "base64 stays", text);
  }
  double number = 0;
  std::string written;
  if (absl::SimpleAtod(text, &number) && json::text::AppendNumber(number, written)) {
    double again = 0;
    fuzz::Require(absl::SimpleAtod(written, &again) && again == number, "a number stays", written);
  }
  const std::string whole = WellFormed(text);
  fuzz::Require(IsUtf8(whole) && (whole == text) == IsUtf8(text), "only what is not UTF-8 is replaced", text);
  fuzz::Require(IsUtf8(json::text::Quoted(text)), "what is quoted is UTF-8", text);
  std::string quoted, logged;
  json::AppendString(text, quoted);
  obs::AppendJsonString(logged, text);
  for (const auto* out : {&quoted, &logged}) {
    const auto read = nlohmann::json::parse(*out, nullptr, /*allow_exceptions=*/false);
    fuzz::Require(read.is_string() && read.get<std::string>() == whole, "a text in JSON is the text", *out);
  }
}
