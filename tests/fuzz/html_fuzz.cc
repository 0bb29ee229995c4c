// covers: services/messaging/rules/html.cc
// Strangers' HTML: what is kept of it is harmless and does not change when it is cleaned again.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "services/messaging/rules/html.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

// Reads what SanitizedHtml writes, and nothing more: <name key="value" ...>, </name>, text without < and >.
inline void RequireHarmless(absl::string_view html) {
  while (!html.empty()) {
    const size_t open = std::min(html.find('<'), html.size());
    Require(html.substr(0, open).find('>') == absl::string_view::npos, "text has no tags in it", html);
    html.remove_prefix(open);
    if (html.empty()) return;
    const size_t close = html.find('>');
    Require(close != absl::string_view::npos, "a tag ends", html);
    absl::string_view tag = html.substr(1, close - 1);
    html.remove_prefix(close + 1);
    Require(tag.find('<') == absl::string_view::npos, "a tag has no tags in it", tag);
    const std::string name = absl::AsciiStrToLower(tag.substr(0, tag.find(' ')));
    for (const char* never : {"script", "style", "iframe", "object", "embed", "form", "svg", "base", "meta", "link"}) {
      Require(name != never, "nothing that runs or loads", tag);
    }
    tag.remove_prefix(std::min(name.size(), tag.size()));
    while (!tag.empty()) {
      const size_t equals = tag.find("=\"");
      Require(tag[0] == ' ' && equals != absl::string_view::npos, "attributes stand in quotes", tag);
      const std::string key = absl::AsciiStrToLower(tag.substr(1, equals - 1));
      tag.remove_prefix(equals + 2);
      const size_t end = tag.find('"');
      Require(end != absl::string_view::npos, "an attribute's quotes are closed", tag);
      const std::string value = absl::AsciiStrToLower(tag.substr(0, end));
      tag.remove_prefix(end + 1);
      Require(!absl::StartsWith(key, "on"), "no event handlers", key);
      if (key == "href" || key == "src") {
        Require(absl::StartsWith(value, "http:") || absl::StartsWith(value, "https:") ||
                    absl::StartsWith(value, "mailto:") || absl::StartsWith(value, "tel:") ||
                    absl::StartsWith(value, "cid:"),
                "links lead where links may lead", value);
      }
      if (key == "style")
        Require(!absl::StrContains(value, "url(") && !absl::StrContains(absl::StrCat("; ", value), "; position"),
                "only looks", value);
    }
  }
}

}  // namespace crm::fuzz

CRM_FUZZ(html) {
  using namespace crm;
  const absl::string_view html = input.Rest();
  const std::string clean = messaging::SanitizedHtml(html), words = messaging::HtmlToText(html);
  fuzz::Require(IsUtf8(clean) && IsUtf8(words), "UTF-8 comes out", clean);
  fuzz::RequireHarmless(clean);
  fuzz::RequireHarmless(messaging::SanitizedHtml(clean));
  fuzz::RequireHarmless(messaging::TextToHtml(html));
  const std::string preview = messaging::PreviewOf(words);
  fuzz::Require(IsUtf8(preview) && LengthOf(preview) <= 200, "a preview is short", preview);
  std::string text = words, rest = clean;
  size_t left = 100;
  messaging::Shorten(text, rest, left);
  fuzz::Require(IsUtf8(text) && text.size() <= 103 && rest.size() <= 100, "a list shows the beginning", text);
}
