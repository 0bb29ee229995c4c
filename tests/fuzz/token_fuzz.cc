// covers: common/rpc/token.cc
// Access tokens: nothing that we did not sign is accepted, whatever a header says; claims that are accepted can be signed
// and read again.
#include "common/rpc/token.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/rpc/keys.h"

namespace crm::fuzz {

struct Issuer {
  testing::Folder folder;
  testing::Ed25519 key;
  std::unique_ptr<rpc::TokenVerifier> verifier;
  std::unique_ptr<rpc::TokenSigner> signer;
  absl::Time now = absl::FromUnixSeconds(1795424400);

  Issuer() {
    testing::WriteFile(folder / "jwks.json", testing::Jwks({key.Jwk("k1")}));
    testing::WriteFile(folder / "key.pem", key.Pem());
    verifier = *rpc::TokenVerifier::Make("crm", folder / "jwks.json");
    signer = *rpc::TokenSigner::Make(folder / "key.pem", folder / "jwks.json");
  }
};

inline void RequireGenuine(Issuer& issuer, const rpc::Claims& claims) {
  const auto again = issuer.verifier->Verify(issuer.signer->Sign(claims), issuer.now);
  Require(again.ok(), "what was accepted can be signed anew", again.status().message());
  Require(again->subject == claims.subject && again->tenant == claims.tenant && again->roles == claims.roles &&
              again->session == claims.session && again->expire_time == claims.expire_time,
          "claims stay as they are");
}

}  // namespace crm::fuzz

CRM_FUZZ(token) {
  using namespace crm;
  static fuzz::Issuer issuer;
  static const std::string kHeader = R"({"alg":"EdDSA","kid":"k1","typ":"at+jwt"})";
  const uint8_t how = input.Byte();
  if (how % 3 == 0) {  // a whole token of a stranger
    const auto claims = issuer.verifier->Verify(input.Rest(), issuer.now);
    fuzz::Require(!claims.ok(), "nobody else signs tokens");
    return fuzz::RequireRefusal(claims.status());
  }
  // Properly signed, with a strange header or strange claims: as if the key were used by a program with mistakes.
  const std::string first(how % 3 == 1 ? absl::string_view(kHeader) : input.Line());
  const auto claims = issuer.verifier->Verify(issuer.key.Token(first, std::string(input.Rest())), issuer.now);
  if (!claims.ok()) return fuzz::RequireRefusal(claims.status());
  fuzz::RequireGenuine(issuer, *claims);
}
