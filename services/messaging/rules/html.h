// HTML of letters: reading its words, and taking out what could do harm on a screen. Pure (libxml2's HTML parser, which
// follows no links). Input may be anything; output is well-formed UTF-8.
#pragma once

#include <absl/strings/string_view.h>

#include <string>

namespace crm::messaging {

// More is cut: no person reads it, and no screen should get it.
inline constexpr size_t kHtmlBytesMax = 1 << 20;

// The words, with line ends where blocks end, "- " before list items, links as "text (address)".
std::string HtmlToText(absl::string_view html);

// Only what is on the list of harmless elements, attributes and styles stays: no scripts, frames, forms, event handlers,
// `position`; links only to http, https, mailto, tel; images only from https, http and `cid:`. A fragment of a body.
std::string SanitizedHtml(absl::string_view html);

// A letter's text as HTML, for front ends that show only HTML and for the multipart that has both.
std::string TextToHtml(absl::string_view text);

// What a list shows of a letter: longer texts are cut and end in "…", longer HTML is left out; a get has it all. Most
// letters are shorter, and a page of any letters stays below what an answer may weigh. `left` is what the page may still
// hold and shrinks.
inline constexpr size_t kListedBytesMax = 64 << 10;
inline constexpr size_t kPageBytesMax = 3 << 20;
void Shorten(std::string& text, std::string& html, size_t& left);

// The beginning of a letter in one line, without quoted lines ("> ...").
std::string PreviewOf(absl::string_view text);

}  // namespace crm::messaging
