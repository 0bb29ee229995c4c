// covers: common/pg/row_wire.h
// PostgreSQL's binary arrays: no length in them leads beyond their end.
#include "common/pg/row_wire.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(array) {
  const absl::string_view raw = input.Rest();
  size_t total = 0;
  crm::pg::record::ForEachInArray(raw, [&](absl::string_view element) {
    crm::fuzz::Require(
        element.empty() || (element.data() >= raw.data() && element.data() + element.size() <= raw.data() + raw.size()),
        "an element lies within its array");
    total += element.size();
  });
  crm::fuzz::Require(total <= raw.size(), "elements do not overlap");
}
