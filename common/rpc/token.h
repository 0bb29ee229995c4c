// Access tokens: JWTs (RFC 7519, RFC 9068) signed with Ed25519 (RFC 8037). Header {alg: "EdDSA", kid, typ: "at+jwt"};
// nothing in the header chooses how a token is checked: a key id names a key of ours, and every key is Ed25519.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace crm::rpc {

// The longest token that is read; one with 100 roles and 100 teams fits.
inline constexpr size_t kTokenBytesMax = 8 << 10;
// The longest life that a token may have: revocations are remembered this long.
inline constexpr absl::Duration kTokenLifeMax = absl::Hours(1);
// How far the signer's clock may be ahead of ours.
inline constexpr absl::Duration kClockLeeway = absl::Seconds(30);
inline constexpr char kAudience[] = "crm";

struct Claims {
  std::string issuer;
  std::string subject;  // "user_..." or "key_..."
  std::string tenant;   // "tenant_..."
  std::string session;  // "session_..."; empty for API keys
  std::string team;     // "team_..." or empty
  std::vector<std::string> teams;
  std::vector<std::string> roles;
  std::string kind;  // "user" or "api_key"
  std::string language;
  std::string time_zone;
  std::string country;   // the tenant's, ISO 3166 alpha-2
  std::string currency;  // the tenant's, ISO 4217
  absl::Time issue_time;
  absl::Time expire_time;
};

// 32 bytes of the SHA-256 of text.
std::array<uint8_t, 32> Sha256(absl::string_view text);

// The public keys of a JWKS file (RFC 7517), read again when the file changes; a file that cannot be read then is
// logged and the keys stay. Thread-safe.
class TokenVerifier {
 public:
  // FAILED_PRECONDITION, naming the file, if it is no JWKS of Ed25519 keys.
  static absl::StatusOr<std::unique_ptr<TokenVerifier>> Make(std::string issuer, std::string jwks_file);
  ~TokenVerifier();

  // UNAUTHENTICATED with TOKEN_INVALID unless every check passes. Costs about 160 us: keep the answer by the token's
  // hash.
  absl::StatusOr<Claims> Verify(absl::string_view token, absl::Time now);

  // Reads the file again if it has changed.
  void Refresh();
  // The keys as a JSON Web Key Set, for others who verify our tokens.
  std::string Jwks() const;
  // Raised whenever the set of keys changes; what was verified before it must be verified again.
  uint64_t generation() const;

 private:
  struct Impl;
  explicit TokenVerifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Makes tokens; only identity has the key. Thread-safe.
class TokenSigner {
 public:
  // The key (PEM, Ed25519) must be one of those in the JWKS file, else nobody could verify its tokens; its `kid` is
  // taken from there.
  static absl::StatusOr<std::unique_ptr<TokenSigner>> Make(const std::string& key_file, const std::string& jwks_file);
  ~TokenSigner();

  std::string Sign(const Claims& claims) const;
  const std::string& key_id() const;

 private:
  struct Impl;
  explicit TokenSigner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Base64url without padding (RFC 4648, section 5). Reading is strict: no padding, no other characters, no spare bits.
std::string Base64Url(absl::string_view bytes);
bool ReadBase64Url(absl::string_view text, std::string* bytes);

}  // namespace crm::rpc
