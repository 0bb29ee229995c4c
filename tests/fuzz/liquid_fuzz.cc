// covers: services/messaging/rules/liquid_compile.cc services/messaging/rules/liquid_render.cc
// Templates: what compiles is filled in within its limits, and in HTML no value ever stands where a browser would run it.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <libxml/HTMLparser.h>

#include <memory>

#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "services/messaging/rules/liquid.h"
#include "services/messaging/rules/templates.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

constexpr char kMark[] = "qzjavascriptqz";  // in every value, and in no template of the corpus

inline const messaging::Value& LetterRoot() {
  static const messaging::Value* const root = [] {
    contact::v1::Contact contact;
    contact.set_given_name(std::string("javascript:") + kMark);
    contact.set_family_name(std::string("\" onload='<script>") + kMark);
    contact.set_language("ru");
    contact.add_tags("vip");
    contact.add_tags(kMark);
    deal_pipeline::v1::Deal deal;
    deal.set_title(std::string("-->]]>") + kMark);
    deal.mutable_amount()->set_amount("1234.50");
    deal.mutable_amount()->set_currency_code("EUR");
    deal.set_expected_close_date("2026-12-03");
    deal.set_status(deal_pipeline::v1::DEAL_STATUS_WON);
    for (int i = 0; i < 3; ++i) {
      auto* line = deal.add_lines();
      line->set_name(kMark);
      line->set_quantity("2");
    }
    auto* made = new messaging::Value;
    made->kind = messaging::Value::Kind::kObject;
    made->fields["contact"] = messaging::ValueOf(contact);
    made->fields["deal"] = messaging::ValueOf(deal);
    made->fields["today"] = messaging::Value::Date("2026-11-23");
    return made;
  }();
  return *root;
}

inline bool Marked(const xmlChar* text) {
  return text != nullptr && absl::StrContains(absl::AsciiStrToLower(reinterpret_cast<const char*>(text)), kMark);
}

inline void RequireTame(const xmlNode* node) {
  for (; node != nullptr; node = node->next) {
    const std::string name =
        node->name == nullptr ? "" : absl::AsciiStrToLower(reinterpret_cast<const char*>(node->name));
    Require(!Marked(node->name), "no value is an element's name", name);
    if (node->type != XML_ELEMENT_NODE) continue;
    if (name == "script" || name == "style") {
      for (const xmlNode* child = node->children; child != nullptr; child = child->next) {
        Require(!Marked(child->content), "no value stands in a script or style", name);
      }
    }
    for (const xmlAttr* attribute = node->properties; attribute != nullptr; attribute = attribute->next) {
      const std::string key = absl::AsciiStrToLower(reinterpret_cast<const char*>(attribute->name));
      Require(!Marked(attribute->name), "no value is an attribute's name", key);
      if (attribute->children == nullptr) continue;
      const xmlChar* value = attribute->children->content;
      if (absl::StartsWith(key, "on") || key == "style" || key == "srcdoc") {
        Require(!Marked(value), "no value stands where a browser would run it", key);
      }
    }
    RequireTame(node->children);
  }
}

}  // namespace crm::fuzz

CRM_FUZZ(liquid) {
  using namespace crm;
  using messaging::LiquidMode;
  static const LiquidMode kModes[] = {LiquidMode::kLine, LiquidMode::kText, LiquidMode::kHtml};
  static const char* const kLanguages[] = {"en", "ru", "he", "yi", "xx"};
  static const messaging::Shape shape = messaging::RootShape({});
  const LiquidMode mode = input.Of(kModes);
  const messaging::Locale locale{input.Of(kLanguages), "Europe/Berlin"};
  const absl::string_view text = input.Rest();
  const auto compiled = messaging::Liquid::Compile(text, mode, shape);
  if (!compiled.ok()) {
    fuzz::Require(absl::StartsWith(compiled.status().message(), "line "), "the error names its line",
                  compiled.status().message());
    if (IsUtf8(text)) fuzz::RequireRefusal(compiled.status());
    return;
  }
  std::set<std::string> empty;
  const auto out = compiled->Render(fuzz::LetterRoot(), locale, &empty);
  if (!out.ok()) {
    fuzz::Require(out.status().code() == absl::StatusCode::kResourceExhausted, "only its length is refused");
    return;
  }
  fuzz::Require(out->size() <= messaging::kLiquidOutputMax, "a letter has its limit");
  if (IsUtf8(text)) fuzz::Require(IsUtf8(*out), "UTF-8 comes out", *out);
  if (mode == LiquidMode::kLine) fuzz::Require(out->find_first_of("\r\n\t") == std::string::npos, "one line", *out);
  if (mode != LiquidMode::kHtml || out->empty() || absl::StrContains(absl::AsciiStrToLower(text), fuzz::kMark)) return;
  // libxml2 reads HTML otherwise than browsers do where bytes are missing; what is whole it reads alike.
  if (!IsClean(text, TextKind::kLong)) return;
  const std::unique_ptr<xmlDoc, decltype(&xmlFreeDoc)> page(
      htmlReadMemory(out->data(), static_cast<int>(out->size()), nullptr, "UTF-8",
                     HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET),
      &xmlFreeDoc);
  if (page != nullptr) fuzz::RequireTame(page->children);
}
