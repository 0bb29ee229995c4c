// covers: common/rpc/token.cc
// Key sets (JWKS): a file that is taken has keys, and is written as one that is taken, too; all else is refused by its name.
#include <filesystem>

#include "common/rpc/token.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/rpc/keys.h"

CRM_FUZZ(jwks) {
  using namespace crm;
  static const crm::testing::Folder folder;
  static const std::string path = folder / "jwks.json";
  const auto make = [](absl::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
    return rpc::TokenVerifier::Make("crm", path);
  };
  const auto verifier = make(input.Rest());
  if (!verifier.ok()) {
    fuzz::Require(verifier.status().code() == absl::StatusCode::kFailedPrecondition &&
                      verifier.status().message().find(path) != std::string::npos,
                  "a refusal names the file", verifier.status().message());
    return fuzz::RequireRefusal(verifier.status());
  }
  const std::string written = (*verifier)->Jwks();
  const auto again = make(written);
  fuzz::Require(again.ok() && (*again)->Jwks() == written, "keys are read as they are written", written);
  fuzz::Require(!(*verifier)->Verify("a.b.c", absl::FromUnixSeconds(1795424400)).ok(), "nobody else signs tokens");
}
