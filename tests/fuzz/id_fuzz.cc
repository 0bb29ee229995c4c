// covers: common/base/id.cc
// TypeIDs and UUIDs: a text that is read is the only one of its id.
#include <absl/strings/ascii.h>

#include "common/base/id.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(id) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  if (const auto id = ParseId(text); id.ok()) {
    fuzz::Require(TypeId(id->prefix, id->uuid) == text, "TypeId(ParseId(x)) == x", text);
    fuzz::Require(ParseId(text, id->prefix, "id").ok(), "an id is one of its own kind", text);
  } else {
    fuzz::RequireRefusal(id.status());
  }
  if (const auto id = ParseId(text, "contact", "contact_id"); !id.ok()) {
    fuzz::Require(!ViolationsOf(id.status()).empty(), "the error names its field");
    fuzz::RequireRefusal(id.status());
  }
  if (const auto uuid = Uuid::Parse(text); uuid.ok()) {
    fuzz::Require(uuid->ToString() == absl::AsciiStrToLower(text), "a UUID is written as it was read", text);
  } else {
    fuzz::RequireRefusal(uuid.status());
  }
}
