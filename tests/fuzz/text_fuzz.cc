// covers: common/base/text.cc
// Texts and the keys that they are searched by: whatever comes in, UTF-8 goes out, and a key of a key is the key.
#include <google/protobuf/stubs/common.h>

#include "common/base/text.h"
#include "common/json/text.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(text) {
  using namespace crm;
  const size_t length_max = input.Byte();
  const absl::string_view text = input.Rest();
  const bool good = IsUtf8(text);
  fuzz::Require(good == google::protobuf::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size())),
                "UTF-8 is what protobuf takes for it", text);
  fuzz::Require(json::text::IsText(text) == (good && text.find('\0') == absl::string_view::npos),
                "JSON takes the same for UTF-8", text);
  const std::string squeezed = Squeezed(text), folded = CaseFold(text), key = SearchKey(text), latin = LatinKey(text);
  for (const auto* out : {&squeezed, &folded, &key, &latin}) fuzz::Require(IsUtf8(*out), "UTF-8 comes out", *out);
  fuzz::Require(Squeezed(squeezed) == squeezed, "squeezed once is enough", squeezed);
  fuzz::Require(CaseFold(folded) == folded, "folded once is enough", folded);
  fuzz::Require(SearchKey(key) == key, "a key is its own key", key);
  if (good) {
    const std::string cut = Truncated(text, length_max);
    fuzz::Require(IsUtf8(cut) && LengthOf(cut) == std::min(LengthOf(text), length_max), "cut between code points",
                  text);
  }
  for (const TextKind kind : {TextKind::kLine, TextKind::kLong}) {
    const auto status = CheckText(text, "note.text", length_max, kind);
    fuzz::Require(!status.ok() || IsClean(text, kind), "what passes is clean", text);
    fuzz::Require(!IsClean(text, kind) || good, "what is clean is UTF-8", text);
    if (!status.ok()) fuzz::RequireRefusal(status);
  }
}
