// covers: services/gateway/raw.cc#ContentDisposition services/gateway/live.cc#CursorText,ParseCursor services/gateway/transcode.cc services/gateway/after.cc#ReadAfter
// Headers with a grammar of their own: cookies, languages, cursors of live streams; and those that we write of others'
// words.
#include <algorithm>

#include "services/gateway/after.h"
#include "services/gateway/live.h"
#include "services/gateway/raw.h"
#include "services/gateway/transcode.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(http_header) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  const std::string_view view(text.data(), text.size());
  if (const auto cursor = gateway::ParseCursor(view); cursor.ok()) {
    const auto again = gateway::ParseCursor(gateway::CursorText(*cursor));
    fuzz::Require(again.ok() && *again == *cursor, "a cursor is written as something that reads the same", text);
  } else {
    fuzz::RequireRefusal(cursor.status());
  }
  const std::string language = gateway::PickLanguage(view);
  fuzz::Require(language.empty() || language.size() == 2, "a language is one of ours", language);
  for (const bool inline_ : {false, true}) {
    const std::string header = gateway::ContentDisposition(inline_, view);
    fuzz::Require(std::all_of(header.begin(), header.end(), [](char c) { return c >= ' ' && c <= '~'; }),
                  "a header's value is one line of ASCII", header);
    fuzz::Require(std::count(header.begin(), header.end(), '"') == (text.empty() ? 0 : 2),
                  "a file's name ends where it ends", header);
  }
  static const gateway::Peers peers = [] {
    gateway::Peers made;
    for (const char* name : {"contact", "deal_pipeline"}) made.Add(name, nullptr);
    return made;
  }();
  if (const auto after = gateway::ReadAfter(view, peers); after.ok()) {
    fuzz::Require(after->size() <= 2, "each service is waited for once", text);
  } else {
    fuzz::RequireRefusal(after.status());
  }
  gateway::HttpRequest request;
  if (std::none_of(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; })) {
    request.headers.set("Cookie", boost::string_view(text.data(), text.size()));
    const std::string cookie(request.Cookie("crm_session"));
    fuzz::Require(cookie.find(';') == std::string::npos, "a cookie ends where the next begins", text);
  }
}
