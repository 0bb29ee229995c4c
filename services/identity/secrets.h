// Secrets that identity gives out: session cookies, refresh tokens, API keys. Each carries its tenant and row, so that
// it can be looked up by key under the tenant's wall, and 32 random bytes; only their SHA-256 is stored.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "common/base/async.h"
#include "services/identity/service.h"

namespace crm::identity {

struct Secret {
  std::string text;  // what the holder keeps
  std::string hash;  // SHA-256, 32 bytes
};
Secret NewSecret(const Uuid& tenant, const Uuid& row, const std::string& prefix);

struct OpenedSecret {
  Uuid tenant;
  Uuid row;
  std::string hash;
};
// UNAUTHENTICATED for what cannot be a secret of ours.
absl::StatusOr<OpenedSecret> OpenSecret(const std::string& text, const std::string& prefix);

// 32 random bytes as text, and SHA-256 in hex, for CSRF tokens.
std::string RandomText();
std::string HexSha256(const std::string& text);
// In constant time.
bool SameBytes(const std::string& a, const std::string& b);

// argon2id (RFC 9106) on the pool for work that blocks: 19 MiB, two passes, as OWASP's password storage sheet asks.
Async<std::string> HashPassword(Identity& identity, std::string password);
// False for a wrong password; the same time is spent when `hash` is empty (no such login).
Async<bool> CheckPasswordHash(Identity& identity, std::string hash, std::string password);

// UNAUTHENTICATED: wrong login or password, whichever it was.
absl::Status WrongCredentials();
// UNAUTHENTICATED: the token, cookie or key is not (any longer) one of ours.
absl::Status NotSignedIn(const std::string& text);

}  // namespace crm::identity
