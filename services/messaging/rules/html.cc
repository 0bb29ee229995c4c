#include "services/messaging/rules/html.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <libxml/HTMLparser.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "services/messaging/rules/liquid.h"

namespace crm::messaging {
namespace html_internal {

constexpr size_t kPreviewLength = 200;
constexpr int kDepthMax = 200;

struct Free {
  void operator()(xmlDoc* doc) const { xmlFreeDoc(doc); }
};
using Document = std::unique_ptr<xmlDoc, Free>;

Document Parse(absl::string_view html) {
  html = html.substr(0, kHtmlBytesMax);
  if (absl::StripAsciiWhitespace(html).empty()) return nullptr;
  return Document(htmlReadMemory(html.data(), static_cast<int>(html.size()), nullptr, "UTF-8",
                                 HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                                     HTML_PARSE_NODEFDTD | HTML_PARSE_COMPACT));
}

std::string Name(const xmlNode* node) {
  return node->name == nullptr ? "" : absl::AsciiStrToLower(reinterpret_cast<const char*>(node->name));
}
absl::string_view Content(const xmlNode* node) {
  return node->content == nullptr ? absl::string_view() : reinterpret_cast<const char*>(node->content);
}
std::string Attribute(const xmlNode* node, const char* name) {
  xmlChar* value = xmlGetProp(const_cast<xmlNode*>(node), reinterpret_cast<const xmlChar*>(name));
  std::string text = value == nullptr ? "" : reinterpret_cast<const char*>(value);
  xmlFree(value);
  return text;
}

const std::set<std::string>& Dropped() {  // with all that is inside
  static const std::set<std::string> kNames = {
      "script",   "style",    "iframe",   "frame", "frameset", "object", "embed",  "applet", "form", "input",
      "button",   "select",   "textarea", "meta",  "link",     "base",   "head",   "title",  "svg",  "math",
      "template", "noscript", "audio",    "video", "canvas",   "dialog", "portal", "option"};
  return kNames;
}
const std::set<std::string>& Kept() {
  static const std::set<std::string> kNames = {
      "a",     "abbr", "b",        "bdi", "bdo",   "big",  "blockquote", "br",     "caption", "center", "cite",
      "code",  "col",  "colgroup", "dd",  "del",   "div",  "dl",         "dt",     "em",      "font",   "h1",
      "h2",    "h3",   "h4",       "h5",  "h6",    "hr",   "i",          "img",    "ins",     "li",     "ol",
      "p",     "pre",  "q",        "s",   "small", "span", "strike",     "strong", "sub",     "sup",    "table",
      "tbody", "td",   "tfoot",    "th",  "thead", "tr",   "tt",         "u",      "ul"};
  return kNames;
}
bool IsVoid(const std::string& name) { return name == "br" || name == "hr" || name == "img" || name == "col"; }

// A link or an image's address without what browsers skip inside it ("java\nscript:").
std::string Address(const std::string& text) {
  std::string out;
  for (unsigned char c : text) {
    if (c > 0x20 && c != 0x7f) out += static_cast<char>(c);
  }
  return out;
}
bool SchemeIs(const std::string& address, std::initializer_list<const char*> schemes) {
  for (const char* scheme : schemes) {
    if (absl::StartsWithIgnoreCase(address, absl::StrCat(scheme, ":"))) return true;
  }
  return false;
}

// Only looks; nothing that loads or leaves its place.
std::string SafeStyle(const std::string& style) {
  static const std::set<std::string> kProperties = {
      "color",        "background-color", "font-weight",     "font-style",     "font-size",
      "font-family",  "text-align",       "text-decoration", "line-height",    "margin",
      "margin-left",  "margin-right",     "margin-top",      "margin-bottom",  "padding",
      "padding-left", "padding-right",    "padding-top",     "padding-bottom", "border",
      "border-left",  "border-right",     "border-top",      "border-bottom",  "border-collapse",
      "width",        "max-width",        "height",          "vertical-align", "white-space",
      "direction"};
  std::string out;
  for (absl::string_view part : absl::StrSplit(style, ';')) {
    const std::pair<absl::string_view, absl::string_view> both = absl::StrSplit(part, absl::MaxSplits(':', 1));
    const std::string name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(both.first));
    const absl::string_view value = absl::StripAsciiWhitespace(both.second);
    if (kProperties.count(name) == 0 || value.empty() || value.size() > 200) continue;
    if (value.find_first_of("(\\<>\"'&@/*") != absl::string_view::npos)
      continue;  // url(), expression(), comments, escapes
    absl::StrAppend(&out, out.empty() ? "" : "; ", name, ": ", value);
  }
  return out;
}

void Escape(absl::string_view text, std::string& out) { out += EscapeHtml(text); }

void WriteAttributes(const xmlNode* node, const std::string& name, std::string& out) {
  static const std::set<std::string> kPlain = {"alt",     "title",   "dir",         "lang",        "align",  "valign",
                                               "width",   "height",  "color",       "face",        "size",   "bgcolor",
                                               "colspan", "rowspan", "cellpadding", "cellspacing", "border", "start"};
  for (const xmlAttr* attribute = node->properties; attribute != nullptr; attribute = attribute->next) {
    const std::string key = absl::AsciiStrToLower(reinterpret_cast<const char*>(attribute->name));
    std::string value = Attribute(node, reinterpret_cast<const char*>(attribute->name));
    if (key == "href" && name == "a") {
      value = Address(value);
      if (!SchemeIs(value, {"http", "https", "mailto", "tel"})) continue;
    } else if (key == "src" && name == "img") {
      value = Address(value);
      if (!SchemeIs(value, {"http", "https", "cid"})) continue;
    } else if (key == "style") {
      value = SafeStyle(value);
      if (value.empty()) continue;
    } else if (kPlain.count(key) == 0) {
      continue;
    }
    absl::StrAppend(&out, " ", key, "=\"");
    Escape(value, out);
    out += '"';
  }
  if (name == "a") out += " rel=\"noopener noreferrer nofollow\" target=\"_blank\"";
}

void Sanitize(const xmlNode* node, int depth, std::string& out) {
  for (; node != nullptr; node = node->next) {
    if (out.size() > kHtmlBytesMax) return;
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
      Escape(Content(node), out);
      continue;
    }
    if (node->type != XML_ELEMENT_NODE || depth > kDepthMax) continue;
    const std::string name = Name(node);
    if (Dropped().count(name) > 0) continue;
    const bool keep = Kept().count(name) > 0;
    if (keep) {
      absl::StrAppend(&out, "<", name);
      WriteAttributes(node, name, out);
      out += '>';
    }
    if (IsVoid(name)) continue;
    Sanitize(node->children, depth + 1, out);
    if (keep) absl::StrAppend(&out, "</", name, ">");
  }
}

class Words {
 public:
  void Walk(const xmlNode* node, int depth) {
    for (; node != nullptr; node = node->next) {
      if (out_.size() > kHtmlBytesMax) return;
      if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
        Add(Content(node));
        continue;
      }
      if (node->type != XML_ELEMENT_NODE || depth > kDepthMax) continue;
      const std::string name = Name(node);
      if (Dropped().count(name) > 0) continue;
      static const std::set<std::string> kBlocks = {"p",   "div", "tr", "table", "ul", "ol",    "li",
                                                    "h1",  "h2",  "h3", "h4",    "h5", "h6",    "blockquote",
                                                    "pre", "hr",  "dl", "dt",    "dd", "center"};
      const bool block = kBlocks.count(name) > 0;
      const bool spaced = name == "p" || name == "blockquote" || (name.size() == 2 && name[0] == 'h' && name[1] != 'r');
      if (name == "br") Break(1);
      if (block) Break(spaced ? 2 : 1);
      if (name == "li") Add("- ");
      if ((name == "td" || name == "th") && !out_.empty() && out_.back() != '\n') Add(" ");
      const size_t before = out_.size();
      Walk(node->children, depth + 1);
      if (name == "a") AddLink(node, before);
      if (block) Break(spaced ? 2 : 1);
    }
  }
  std::string Take() {
    while (!out_.empty() && (out_.back() == '\n' || out_.back() == ' ')) out_.pop_back();
    return std::move(out_);
  }

 private:
  void Add(absl::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      // A no-break space is a space in plain text.
      const bool no_break = text[i] == '\xc2' && i + 1 < text.size() && text[i + 1] == '\xa0';
      if (no_break) ++i;
      if (no_break || absl::ascii_isspace(static_cast<unsigned char>(text[i]))) {
        if (!out_.empty() && out_.back() != ' ' && out_.back() != '\n') out_ += ' ';
      } else {
        out_ += text[i];
      }
    }
  }
  void Break(int lines) {
    if (out_.empty()) return;
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    int have = 0;
    for (size_t i = out_.size(); i > 0 && out_[i - 1] == '\n'; --i) ++have;
    for (; have < lines; ++have) out_ += '\n';
  }
  void AddLink(const xmlNode* node, size_t before) {
    const std::string address = Address(Attribute(node, "href"));
    if (!SchemeIs(address, {"http", "https"}) || address.size() > 500 || out_.size() <= before) return;
    const std::string text = out_.substr(before);
    if (!absl::StrContains(address, std::string(absl::StripAsciiWhitespace(text))))
      absl::StrAppend(&out_, " (", address, ")");
  }

  std::string out_;
};

}  // namespace html_internal

namespace hi = html_internal;

std::string HtmlToText(absl::string_view html) {
  hi::Document document = hi::Parse(html);
  if (!document) return "";
  hi::Words words;
  words.Walk(document->children, 0);
  return WellFormed(words.Take());
}

std::string SanitizedHtml(absl::string_view html) {
  hi::Document document = hi::Parse(html);
  std::string out;
  if (document) hi::Sanitize(document->children, 0, out);
  return WellFormed(out);
}

std::string TextToHtml(absl::string_view text) {
  std::string out = "<p>";
  for (char c : EscapeHtml(text)) {
    if (c == '\r') continue;
    if (c == '\n') {
      out += "<br>\n";
    } else {
      out += c;
    }
  }
  return out + "</p>";
}

void Shorten(std::string& text, std::string& html, size_t& left) {
  const size_t text_max = std::min(kListedBytesMax, left);
  if (text.size() > text_max) {
    size_t end = text_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // never inside a character
    text.resize(end);
    text += "…";
  }
  left -= std::min(left, text.size());
  if (html.size() > std::min(kListedBytesMax, left)) html.clear();
  left -= std::min(left, html.size());
}

std::string PreviewOf(absl::string_view text) {
  std::string words;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, ">")) continue;
    absl::StrAppend(&words, words.empty() ? "" : " ", line);
    if (words.size() > 4 * hi::kPreviewLength) break;
  }
  return Truncated(Squeezed(words), hi::kPreviewLength);
}

}  // namespace crm::messaging
