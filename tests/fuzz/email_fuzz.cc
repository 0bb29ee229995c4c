// covers: common/base/email.cc
// E-mail addresses: a normal form is its own normal form, and fit to be stored.
#include "common/base/email.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(email) {
  using namespace crm;
  const auto email = NormalizeEmail(input.Rest(), "contact.emails[0].address");
  if (!email.ok()) {
    fuzz::Require(!ViolationsOf(email.status()).empty(), "the error names its field");
    return fuzz::RequireRefusal(email.status());
  }
  fuzz::Require(IsClean(*email) && email->size() <= 254, "an address can be stored", *email);
  const auto again = NormalizeEmail(*email);
  fuzz::Require(again.ok() && *again == *email, "normal is normal", *email);
}
