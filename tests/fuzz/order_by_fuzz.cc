// covers: common/base/filter.cc
// AIP-132's order_by: what is read can be written and read again.
#include <absl/strings/str_cat.h>

#include "common/base/filter.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(order_by) {
  using namespace crm;
  const auto terms = filter::ParseOrderBy(input.Rest());
  if (!terms.ok()) return fuzz::RequireRefusal(terms.status());
  std::string text;
  for (const auto& term : *terms) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", term.PathText(), term.descending ? " desc" : "");
  }
  const auto again = filter::ParseOrderBy(text);
  fuzz::Require(again.ok() ? *again == *terms : text.size() > filter::kOrderLengthMax, "terms read as written", text);
}
