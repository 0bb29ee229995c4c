// JSON text -> RapidJSON's document, within the limits that the caller sets.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <rapidjson/document.h>

#include <string>

#include "common/base/error.h"
#include "common/json/json.h"

namespace crm::json::reading {

using Pool = rapidjson::MemoryPoolAllocator<>;
using Document = rapidjson::Document;
using Json = rapidjson::Value;

inline absl::string_view TextOf(const Json& json) {
  return absl::string_view(json.GetString(), json.GetStringLength());
}

// A parsed text: the document's strings point into `buffer`.
struct Parsed {
  alignas(8) char memory[4096];  // most bodies need no allocation
  Pool pool{memory, sizeof memory};
  Document document{&pool};
  std::string buffer;
  bool escapes = false;  // strings may hold what the text itself does not: NUL, half surrogates

  // BODY_INVALID or TOO_LARGE if there is no document.
  absl::Status Parse(absl::string_view text, const ReadOptions& options);
};

absl::Status BodyError(std::string text);

}  // namespace crm::json::reading
