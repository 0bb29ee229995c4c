// The API that the gateway's fuzzers are routed by, and requests made of text.
#pragma once

#include <absl/strings/ascii.h>

#include <algorithm>
#include <cstdlib>

#include "services/gateway/api.h"
#include "services/gateway/http.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/services/gateway/descriptors.h"

namespace crm::fuzz {

inline const gateway::Api& SomeApi() {
  static const gateway::Api* const api = [] {
    auto made = gateway::Api::Make(gateway::CompiledIn());
    if (!made.ok()) std::abort();
    return made->release();
  }();
  return *api;
}

// "POST /v1/deals/1:move?x=1", header lines, an empty line, the body.
inline gateway::HttpRequest RequestOf(Input& input) {
  gateway::HttpRequest request;
  const absl::string_view first = input.Line();
  const size_t space = std::min(first.find(' '), first.size());
  request.method = std::string(first.substr(0, space));
  // A method is a token: the HTTP parser takes no other.
  request.method.erase(std::remove_if(request.method.begin(), request.method.end(),
                                      [](char c) { return !absl::ascii_isalnum(static_cast<unsigned char>(c)); }),
                       request.method.end());
  const absl::string_view target = first.substr(std::min(space + 1, first.size()));
  const size_t question = std::min(target.find('?'), target.size());
  request.path = std::string(target.substr(0, question));
  request.query = std::string(target.substr(std::min(question + 1, target.size())));
  for (absl::string_view line = input.Line(); !line.empty(); line = input.Line()) {
    const size_t colon = line.find(": ");
    if (colon == absl::string_view::npos || colon == 0) continue;
    // As the HTTP parser would hand them on (RFC 9110, 5.5): no control characters.
    const absl::string_view name = line.substr(0, colon), value = line.substr(colon + 2);
    const auto control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
    if (std::any_of(line.begin(), line.end(), control)) continue;
    request.headers.insert(boost::string_view(name.data(), name.size()),
                           boost::string_view(value.data(), value.size()));
  }
  request.body = std::string(input.Rest());
  request.request_id = "req_1";
  return request;
}

}  // namespace crm::fuzz
