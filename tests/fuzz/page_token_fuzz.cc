// covers: common/pg/page_token.cc
// Page tokens: ours are read as they were made, and nobody else makes one.
#include <absl/strings/escaping.h>

#include "common/pg/page_token.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(page_token) {
  using namespace crm;
  const absl::string_view binding = input.Line();
  pg::PageKey key;
  while (!input.empty() && key.size() < 8) {
    const absl::string_view line = input.Line();
    if (line == "NULL") {
      key.emplace_back();
    } else {
      key.emplace_back(std::string(line));
    }
  }
  const std::string token = pg::MakePageToken(binding, key);
  fuzz::Require(pg::ReadPageToken(binding, token).value_or(pg::PageKey{"-"}) == key, "a token is read as it was made",
                token);
  fuzz::Require(!pg::ReadPageToken(std::string(binding) + " ", token).ok(), "a token belongs to its list", token);
  // The last line as a stranger's token, and one bit of ours turned.
  if (!key.empty() && key.back()) {
    const auto stranger = pg::ReadPageToken(binding, *key.back());
    fuzz::Require(!stranger.ok(), "nobody else makes tokens", *key.back());
    fuzz::RequireRefusal(stranger.status());
    std::string raw;
    absl::WebSafeBase64Unescape(token, &raw);
    raw[key.size() * 7 % raw.size()] ^= 1;
    fuzz::Require(!pg::ReadPageToken(binding, absl::WebSafeBase64Escape(raw)).ok(), "no bit of a token can be turned",
                  token);
  }
}
