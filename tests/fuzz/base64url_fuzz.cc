// covers: common/rpc/token.cc
// Base64url as tokens, keys and cookies have it: each text that is read is the only one of its bytes.
#include "common/rpc/token.h"
#include "services/identity/secrets.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(base64url) {
  using namespace crm;
  const absl::string_view text = input.Rest();
  std::string bytes, again;
  if (rpc::ReadBase64Url(text, &bytes)) fuzz::Require(rpc::Base64Url(bytes) == text, "one text for one value", text);
  fuzz::Require(rpc::ReadBase64Url(rpc::Base64Url(text), &again) && again == text, "bytes stay as they are");
  const auto secret = identity::OpenSecret(std::string(text), "crm_key_");
  if (!secret.ok()) fuzz::RequireRefusal(secret.status());
}
