#include "common/rpc/token.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <gtest/gtest.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <functional>
#include <map>
#include <set>

#include "common/base/error.h"
#include "tests/unit/common/rpc/keys.h"

namespace crm::rpc {
namespace {

using testing::Ed25519;
using testing::Folder;
using testing::Jwks;
using testing::WriteFile;

class TokenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteFile(jwks_, Jwks({key_.Jwk("one"), second_.Jwk("two")}));
    WriteFile(pem_, key_.Pem());
    auto verifier = TokenVerifier::Make("crm", jwks_);
    ASSERT_TRUE(verifier.ok()) << verifier.status();
    verifier_ = *std::move(verifier);
    auto signer = TokenSigner::Make(pem_, jwks_);
    ASSERT_TRUE(signer.ok()) << signer.status();
    signer_ = *std::move(signer);
  }

  // Claims as JSON text, with changes: a value replaces, an empty one removes.
  std::string Body(const std::map<std::string, std::string>& changes = {}) const {
    std::map<std::string, std::string> members = {{"iss", R"("crm")"},
                                                  {"aud", R"("crm")"},
                                                  {"sub", Quoted(claims_.subject)},
                                                  {"tid", Quoted(claims_.tenant)},
                                                  {"sid", Quoted(claims_.session)},
                                                  {"roles", "[" + Quoted(claims_.roles[0]) + "]"},
                                                  {"kind", R"("user")"},
                                                  {"iat", absl::StrCat(absl::ToUnixSeconds(now_))},
                                                  {"exp", absl::StrCat(absl::ToUnixSeconds(now_) + 600)}};
    for (const auto& [name, value] : changes) {
      if (value.empty()) {
        members.erase(name);
      } else {
        members[name] = value;
      }
    }
    std::string text;
    for (const auto& [name, value] : members)
      absl::StrAppend(&text, text.empty() ? "{" : ",", Quoted(name), ":", value);
    return text + "}";
  }
  static std::string Quoted(const std::string& text) { return "\"" + text + "\""; }
  std::string Time(int64_t offset) const { return absl::StrCat(absl::ToUnixSeconds(now_) + offset); }

  static constexpr char kHeader[] = R"({"alg":"EdDSA","kid":"one","typ":"at+jwt"})";
  const absl::Time now_ = absl::FromUnixSeconds(1795412345);
  const Claims claims_ = testing::SomeClaims(now_);
  const Ed25519 key_, second_, foreign_;
  const Folder folder_;
  const std::string jwks_ = folder_ / "jwks.json", pem_ = folder_ / "signing.pem";
  std::unique_ptr<TokenVerifier> verifier_;
  std::unique_ptr<TokenSigner> signer_;
};

TEST_F(TokenTest, WhatIsSignedIsRead) {
  auto claims = verifier_->Verify(signer_->Sign(claims_), now_);
  ASSERT_TRUE(claims.ok()) << claims.status();
  EXPECT_EQ(claims->subject, claims_.subject);
  EXPECT_EQ(claims->tenant, claims_.tenant);
  EXPECT_EQ(claims->session, claims_.session);
  EXPECT_EQ(claims->team, claims_.team);
  EXPECT_EQ(claims->teams, claims_.teams);
  EXPECT_EQ(claims->roles, claims_.roles);
  EXPECT_EQ(claims->kind, "user");
  EXPECT_EQ(claims->language, "ru");
  EXPECT_EQ(claims->time_zone, "Europe/Berlin");
  EXPECT_EQ(claims->expire_time, claims_.expire_time);

  Claims machine = claims_;
  machine.kind = "api_key";
  machine.subject = NewId("key", now_);
  machine.session.clear();
  EXPECT_TRUE(verifier_->Verify(signer_->Sign(machine), now_).ok());
}

TEST_F(TokenTest, HandMadeTokensOfTheRightFormAreRead) {
  // Otherwise the forged ones below would be refused for the way that they are made.
  EXPECT_TRUE(verifier_->Verify(key_.Token(kHeader, Body()), now_).ok());
  EXPECT_TRUE(verifier_->Verify(second_.Token(absl::StrReplaceAll(kHeader, {{"one", "two"}}), Body()), now_).ok());
  EXPECT_TRUE(verifier_->Verify(key_.Token(kHeader, Body({{"iat", Time(29)}})), now_).ok());  // a clock that is ahead
  EXPECT_TRUE(verifier_->Verify(key_.Token(kHeader, Body({{"nbf", Time(29)}})), now_).ok());
}

TEST_F(TokenTest, ForgedTokensAreRefused) {
  const std::string good = key_.Token(kHeader, Body());
  ASSERT_TRUE(verifier_->Verify(good, now_).ok());
  const size_t first = good.find('.'), second = good.rfind('.');
  const std::string header = good.substr(0, first), body = good.substr(first + 1, second - first - 1),
                    signature = good.substr(second + 1);
  std::string raw_signature;
  ASSERT_TRUE(ReadBase64Url(signature, &raw_signature));

  auto signed_by = [&](const std::string& h, const std::string& b) { return key_.Token(h, b); };
  auto with_header = [&](const std::string& h) { return signed_by(h, Body()); };
  auto with_claims = [&](const std::map<std::string, std::string>& changes) {
    return signed_by(kHeader, Body(changes));
  };
  auto hmac = [&](const std::string& secret, const std::string& algorithm) {
    const std::string text =
        Base64Url(R"({"alg":")" + algorithm + R"(","kid":"one","typ":"at+jwt"})") + "." + Base64Url(Body());
    unsigned char out[64];
    unsigned int length = 0;
    HMAC(algorithm == "HS512" ? EVP_sha512() : EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &length);
    return text + "." + Base64Url(std::string(reinterpret_cast<char*>(out), length));
  };
  auto with_signature = [&](std::string s) { return header + "." + body + "." + Base64Url(s); };
  auto flipped = [&](size_t byte, int bit) {
    std::string s = raw_signature;
    s[byte] = static_cast<char>(s[byte] ^ (1 << bit));
    return with_signature(s);
  };
  // S + L, the order of the curve's group: the same point under a second encoding (RFC 8032, 5.1.7 forbids it).
  auto malleated = [&] {
    static constexpr unsigned char kOrder[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                                 0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                                 0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    std::string s = raw_signature;
    int carry = 0;
    for (int i = 0; i < 32; ++i) {
      const int sum = static_cast<unsigned char>(s[32 + i]) + kOrder[i] + carry;
      s[32 + i] = static_cast<char>(sum & 255);
      carry = sum >> 8;
    }
    return with_signature(s);
  };
  const std::string user = claims_.subject, tenant = claims_.tenant;

  const std::vector<std::pair<const char*, std::string>> forged = {
      // No token at all, or not three parts.
      {"empty", ""},
      {"one part", header},
      {"two parts", header + "." + body},
      {"four parts", good + ".x"},
      {"only dots", ".."},
      {"no header", "." + body + "." + signature},
      {"no claims", header + ".." + signature},
      {"no signature", header + "." + body + "."},
      {"leading space", " " + good},
      {"trailing newline", good + "\n"},
      {"NUL inside", good.substr(0, 20) + std::string(1, '\0') + good.substr(20)},
      {"huge", std::string(kTokenBytesMax + 1, 'A')},
      {"huge header",
       with_header(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","x":")" + std::string(7000, 'a') + R"("})")},
      {"huge claims", with_claims({{"x", Quoted(std::string(8000, 'a'))}})},
      // The algorithm.
      {"alg none", Base64Url(R"({"alg":"none","kid":"one","typ":"at+jwt"})") + "." + body + "."},
      {"alg none with the signature",
       Base64Url(R"({"alg":"none","kid":"one","typ":"at+jwt"})") + "." + body + "." + signature},
      {"alg None signed", with_header(R"({"alg":"None","kid":"one","typ":"at+jwt"})")},
      {"alg NONE signed", with_header(R"({"alg":"NONE","kid":"one","typ":"at+jwt"})")},
      {"alg empty", with_header(R"({"alg":"","kid":"one","typ":"at+jwt"})")},
      {"alg missing", with_header(R"({"kid":"one","typ":"at+jwt"})")},
      {"alg as a number", with_header(R"({"alg":1,"kid":"one","typ":"at+jwt"})")},
      {"alg in small letters", with_header(R"({"alg":"eddsa","kid":"one","typ":"at+jwt"})")},
      {"HS256 with the public key", hmac(key_.Public(), "HS256")},
      {"HS256 with the JWKS", hmac(Jwks({key_.Jwk("one")}), "HS256")},
      {"HS512 with the public key", hmac(key_.Public(), "HS512")},
      {"HS256 with an empty secret", hmac("", "HS256")},
      {"RS256 in the header", with_header(R"({"alg":"RS256","kid":"one","typ":"at+jwt"})")},
      {"ES256 in the header", with_header(R"({"alg":"ES256","kid":"one","typ":"at+jwt"})")},
      // The key.
      {"signed by a foreign key", foreign_.Token(kHeader, Body())},
      {"signed by the other key", second_.Token(kHeader, Body())},
      {"another key's id", with_header(R"({"alg":"EdDSA","kid":"two","typ":"at+jwt"})")},
      {"an unknown key's id", with_header(R"({"alg":"EdDSA","kid":"three","typ":"at+jwt"})")},
      {"an empty key id", with_header(R"({"alg":"EdDSA","kid":"","typ":"at+jwt"})")},
      {"no key id", with_header(R"({"alg":"EdDSA","typ":"at+jwt"})")},
      {"key id as a path", with_header(R"({"alg":"EdDSA","kid":"../../one","typ":"at+jwt"})")},
      {"key id as a list", with_header(R"({"alg":"EdDSA","kid":["one"],"typ":"at+jwt"})")},
      {"key id null", with_header(R"({"alg":"EdDSA","kid":null,"typ":"at+jwt"})")},
      {"brings its own key",
       foreign_.Token(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","jwk":)" + foreign_.Jwk("one") + "}", Body())},
      {"names a key's address",
       with_header(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","jku":"https://evil.example/jwks"})")},
      {"names a certificate's address",
       with_header(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","x5u":"https://evil.example"})")},
      {"critical extension", with_header(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","crit":["exp"]})")},
      {"unencoded payload", with_header(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","b64":"false"})")},
      // The type.
      {"type JWT", with_header(R"({"alg":"EdDSA","kid":"one","typ":"JWT"})")},
      {"type missing", with_header(R"({"alg":"EdDSA","kid":"one"})")},
      // The header as JSON.
      {"header no JSON", with_header("alg=EdDSA")},
      {"header a list", with_header(R"(["EdDSA","one","at+jwt"])")},
      {"header empty", with_header("")},
      {"alg twice", with_header(R"({"alg":"none","alg":"EdDSA","kid":"one","typ":"at+jwt"})")},
      {"something after the header", with_header(std::string(kHeader) + "{}")},
      {"header with a comment", with_header(R"({"alg":"EdDSA",/**/"kid":"one","typ":"at+jwt"})")},
      {"header nested", with_header(R"({"alg":"EdDSA","kid":"one","typ":"at+jwt","a":{"b":"c"}})")},
      // The signature.
      {"signature of zeros", with_signature(std::string(64, '\0'))},
      {"R = 0", with_signature(std::string(32, '\0') + raw_signature.substr(32))},
      {"S = 0", with_signature(raw_signature.substr(0, 32) + std::string(32, '\0'))},
      {"the identity as R, S = 0", with_signature(std::string(1, '\1') + std::string(63, '\0'))},
      {"S + L", malleated()},
      {"signature cut", with_signature(raw_signature.substr(0, 63))},
      {"signature longer", with_signature(raw_signature + "x")},
      {"signature twice", with_signature(raw_signature + raw_signature)},
      {"first bit flipped", flipped(0, 0)},
      {"last bit flipped", flipped(63, 7)},
      {"of other claims",
       key_.Token(kHeader, Body({{"sub", Quoted(NewId("user", now_))}})).substr(0, second) + "." + signature},
      {"claims exchanged", header + "." + Base64Url(Body({{"tid", Quoted(NewId("tenant", now_))}})) + "." + signature},
      // The encoding.
      {"padding", good + "=="},
      {"standard alphabet",
       header + "." + body + "." + absl::StrReplaceAll(signature, {{"-", "+"}, {"_", "/"}}) + "+/"},
      {"a spare character", header + "A." + body + "." + signature},
      {"spare bits", header + "." + body + "." + signature.substr(0, 85) + (signature[85] == 'B' ? "C" : "B")},
      {"line break inside", header + "." + body.substr(0, 10) + "\n" + body.substr(10) + "." + signature},
      // Who and for whom.
      {"another issuer", with_claims({{"iss", R"("evil")"}})},
      {"no issuer", with_claims({{"iss", ""}})},
      {"issuer as a list", with_claims({{"iss", R"(["crm"])"}})},
      {"another audience", with_claims({{"aud", R"("billing")"}})},
      {"no audience", with_claims({{"aud", ""}})},
      {"audience among others", with_claims({{"aud", R"(["crm","billing"])"}})},
      {"no subject", with_claims({{"sub", ""}})},
      {"subject no id", with_claims({{"sub", R"("admin")"}})},
      {"subject of another kind", with_claims({{"sub", Quoted(tenant)}})},
      {"subject in capitals", with_claims({{"sub", Quoted(absl::StrReplaceAll(user, {{"user_", "USER_"}}))}})},
      {"no tenant", with_claims({{"tid", ""}})},
      {"tenant no id", with_claims({{"tid", R"("*")"}})},
      {"tenant of another kind", with_claims({{"tid", Quoted(user)}})},
      {"no session", with_claims({{"sid", ""}})},
      {"session of another kind", with_claims({{"sid", Quoted(user)}})},
      {"no kind", with_claims({{"kind", ""}})},
      {"kind service", with_claims({{"kind", R"("service")"}})},
      {"a user as an API key", with_claims({{"kind", R"("api_key")"}, {"sid", ""}})},
      {"an API key with a session", with_claims({{"kind", R"("api_key")"}, {"sub", Quoted(NewId("key", now_))}})},
      {"roles as a text", with_claims({{"roles", R"("*")"}})},
      {"roles with something else", with_claims({{"roles", R"(["administrator"])"}})},
      {"roles nested", with_claims({{"roles", R"([["a"]])"}})},
      {"roles with a number", with_claims({{"roles", R"([1])"}})},
      {"teams with users", with_claims({{"teams", "[" + Quoted(user) + "]"}})},
      {"team no id", with_claims({{"team", R"("all")"}})},
      // When.
      {"expired now", with_claims({{"exp", Time(0)}})},
      {"expired long ago", with_claims({{"iat", Time(-7200)}, {"exp", Time(-3600)}})},
      {"no end", with_claims({{"exp", ""}})},
      {"end as a text", with_claims({{"exp", Quoted(Time(600))}})},
      {"end with a fraction", with_claims({{"exp", Time(600) + ".5"}})},
      {"end as a power", with_claims({{"exp", "1e12"}})},
      {"end negative", with_claims({{"exp", "-1"}})},
      {"end beyond all times", with_claims({{"exp", "9223372036854775807"}})},
      {"end beyond int64", with_claims({{"exp", "18446744073709551615"}})},
      {"end null", with_claims({{"exp", "null"}})},
      {"end true", with_claims({{"exp", "true"}})},
      {"lives too long", with_claims({{"exp", Time(3601)}})},
      {"no beginning", with_claims({{"iat", ""}})},
      {"begins later", with_claims({{"iat", Time(31)}})},
      {"not before later", with_claims({{"nbf", Time(31)}})},
      {"not before as a text", with_claims({{"nbf", R"("now")"}})},
      {"ends before it begins", with_claims({{"iat", Time(20)}, {"exp", Time(10)}})},
      // The claims as JSON.
      {"claims no JSON", signed_by(kHeader, "sub=admin")},
      {"claims a list", signed_by(kHeader, "[" + Body() + "]")},
      {"claims cut", signed_by(kHeader, Body().substr(0, Body().size() - 1))},
      {"claims twice", signed_by(kHeader, Body() + Body())},
      {"subject twice", signed_by(kHeader, R"({"sub":")" + NewId("user", now_) + R"(",)" + Body().substr(1))},
      {"claims nested", with_claims({{"act", R"({"sub":"x"})"}})},
      {"claims deep", with_claims({{"x", std::string(1000, '[') + std::string(1000, ']')}})},
      {"claims no UTF-8", with_claims({{"lang", "\"\xff\xfe\""}})},
      {"claims with a NUL", with_claims({{"lang", std::string("\"e\0n\"", 5)}})},
      {"claims with a trailing comma", signed_by(kHeader, Body().substr(0, Body().size() - 1) + ",}")},
      {"claims with a byte order mark", signed_by(kHeader, "\xef\xbb\xbf" + Body())},
      {"language too long", with_claims({{"lang", Quoted(std::string(36, 'e'))}})},
  };
  EXPECT_GE(forged.size(), 100u);
  std::set<std::string> seen;
  for (const auto& [name, token] : forged) {
    EXPECT_TRUE(seen.insert(token).second) << name << " is the same as another one";
    auto claims = verifier_->Verify(token, now_);
    EXPECT_EQ(claims.status().code(), absl::StatusCode::kUnauthenticated) << name;
    EXPECT_EQ(ReasonOf(claims.status()), type::v1::ERROR_REASON_TOKEN_INVALID) << name;
    // The answer must not show what was sent.
    if (token.size() > 60) {
      EXPECT_EQ(claims.status().message().find(token.substr(0, 40)), std::string::npos) << name;
    }
  }
}

TEST_F(TokenTest, EveryBitOfTheSignatureCounts) {
  const std::string good = key_.Token(kHeader, Body());
  std::string raw;
  ASSERT_TRUE(ReadBase64Url(good.substr(good.rfind('.') + 1), &raw));
  for (size_t bit = 0; bit < raw.size() * 8; ++bit) {
    std::string changed = raw;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const std::string token = good.substr(0, good.rfind('.') + 1) + Base64Url(changed);
    EXPECT_FALSE(verifier_->Verify(token, now_).ok()) << "bit " << bit;
  }
}

TEST_F(TokenTest, KeysAreReadAgainWhenTheFileChanges) {
  const std::string old_token = signer_->Sign(claims_);
  const std::string new_token = foreign_.Token(R"({"alg":"EdDSA","kid":"new","typ":"at+jwt"})", Body());
  ASSERT_TRUE(verifier_->Verify(old_token, now_).ok());
  ASSERT_FALSE(verifier_->Verify(new_token, now_).ok());
  const uint64_t before = verifier_->generation();

  WriteFile(jwks_, Jwks({key_.Jwk("one"), foreign_.Jwk("new")}));
  EXPECT_TRUE(verifier_->Verify(old_token, now_).ok());  // both hold while keys are changed
  EXPECT_TRUE(verifier_->Verify(new_token, now_).ok());
  EXPECT_GT(verifier_->generation(), before);

  WriteFile(jwks_, Jwks({foreign_.Jwk("new")}));
  EXPECT_FALSE(verifier_->Verify(old_token, now_).ok());
  EXPECT_TRUE(verifier_->Verify(new_token, now_).ok());

  WriteFile(jwks_, "{\"keys\":");  // a broken file changes nothing
  EXPECT_TRUE(verifier_->Verify(new_token, now_).ok());
  std::filesystem::remove(jwks_);
  EXPECT_TRUE(verifier_->Verify(new_token, now_).ok());
}

TEST_F(TokenTest, KeySetsThatCannotBeTrustedAreRefused) {
  const std::string x = Base64Url(key_.Public());
  const std::vector<std::pair<const char*, std::string>> bad = {
      {"no JSON", "keys"},
      {"no keys", "{}"},
      {"empty", R"({"keys":[]})"},
      {"keys no list", R"({"keys":{}})"},
      {"RSA", R"({"keys":[{"kty":"RSA","kid":"one","n":"AQAB","e":"AQAB"}]})"},
      {"symmetric", R"({"keys":[{"kty":"oct","kid":"one","k":"AAAA"}]})"},
      {"another curve", R"({"keys":[{"kty":"OKP","crv":"X25519","kid":"one","x":")" + x + R"("}]})"},
      {"no kid", R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":")" + x + R"("}]})"},
      {"short key", R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"AAAA"}]})"},
      {"a private key", R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":")" + x + R"(","d":"AAAA"}]})"},
      {"a kid twice", Jwks({key_.Jwk("one"), second_.Jwk("one")})},
  };
  for (const auto& [name, text] : bad) {
    WriteFile(jwks_, text);
    auto verifier = TokenVerifier::Make("crm", jwks_);
    EXPECT_EQ(verifier.status().code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_NE(verifier.status().message().find(jwks_), std::string::npos) << name << ": " << verifier.status();
  }
  EXPECT_FALSE(TokenVerifier::Make("crm", folder_ / "none").ok());
}

TEST_F(TokenTest, ASignerWhoseTokensNobodyCouldVerifyIsRefused) {
  WriteFile(pem_, foreign_.Pem());
  auto signer = TokenSigner::Make(pem_, jwks_);
  EXPECT_EQ(signer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(signer.status().message().find("not among the keys"), std::string::npos);
  WriteFile(pem_, "no key");
  EXPECT_FALSE(TokenSigner::Make(pem_, jwks_).ok());
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> rsa(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048}),
                                                          &EVP_PKEY_free);
  Ed25519 wrapped;
  wrapped.key = std::shared_ptr<EVP_PKEY>(rsa.release(), &EVP_PKEY_free);
  WriteFile(pem_, wrapped.Pem());
  EXPECT_FALSE(TokenSigner::Make(pem_, jwks_).ok());
}

TEST(Base64UrlTest, ReadsOnlyWhatItWrites) {
  // RFC 4648, section 10, without padding.
  const std::map<std::string, std::string> vectors = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  std::string out;
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Base64Url(bytes), text);
    ASSERT_TRUE(ReadBase64Url(text, &out)) << text;
    EXPECT_EQ(out, bytes);
  }
  EXPECT_EQ(Base64Url("\xfb\xff"), "-_8");
  for (const char* bad : {"Z", "Zg==", "Zh", "Zm9", "+/8", "Zm 8", "Zm8\n", "Zm9vY"})
    EXPECT_FALSE(ReadBase64Url(bad, &out)) << bad;
}

}  // namespace
}  // namespace crm::rpc
