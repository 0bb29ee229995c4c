#include "services/identity/secrets.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <sodium.h>

#include <array>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/rpc/token.h"

namespace crm::identity {
namespace {

constexpr size_t kRandomBytes = 32;
constexpr size_t kSecretBytes = 16 + 16 + kRandomBytes;
constexpr unsigned long long kPasses = 2;
constexpr size_t kMemoryBytes = 19 << 20;

std::string Sha256Bytes(const std::string& text) {
  const auto hash = rpc::Sha256(text);
  return std::string(reinterpret_cast<const char*>(hash.data()), hash.size());
}

std::string RandomBytes() {
  std::string bytes(kRandomBytes, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

absl::StatusOr<std::string> Argon2(const std::string& password) {
  std::array<char, crypto_pwhash_STRBYTES> out{};
  if (crypto_pwhash_str_alg(out.data(), password.data(), password.size(), kPasses, kMemoryBytes,
                            crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_OVERLOADED,
                 "there is no memory to check passwords at present; try again in a moment");
  }
  return std::string(out.data());
}

}  // namespace

Secret NewSecret(const Uuid& tenant, const Uuid& row, const std::string& prefix) {
  std::string bytes(reinterpret_cast<const char*>(tenant.bytes.data()), tenant.bytes.size());
  bytes.append(reinterpret_cast<const char*>(row.bytes.data()), row.bytes.size());
  bytes += RandomBytes();
  Secret secret;
  secret.text = prefix + rpc::Base64Url(bytes);
  secret.hash = Sha256Bytes(secret.text);
  return secret;
}

absl::StatusOr<OpenedSecret> OpenSecret(const std::string& text, const std::string& prefix) {
  std::string bytes;
  if (!absl::StartsWith(text, prefix) || !rpc::ReadBase64Url(text.substr(prefix.size()), &bytes) ||
      bytes.size() != kSecretBytes) {
    return NotSignedIn("this is no secret that we have given out; sign in again");
  }
  OpenedSecret opened;
  std::copy(bytes.begin(), bytes.begin() + 16, opened.tenant.bytes.begin());
  std::copy(bytes.begin() + 16, bytes.begin() + 32, opened.row.bytes.begin());
  opened.hash = Sha256Bytes(text);
  return opened;
}

std::string RandomText() { return rpc::Base64Url(RandomBytes()); }

std::string HexSha256(const std::string& text) { return absl::BytesToHexString(Sha256Bytes(text)); }

bool SameBytes(const std::string& a, const std::string& b) {
  return a.size() == b.size() && !a.empty() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Async<std::string> HashPassword(Identity& identity, std::string password) {
  co_return co_await identity.runtime.Offload(
      [&password]() -> absl::StatusOr<std::string> { return Argon2(password); });
}

Async<bool> CheckPasswordHash(Identity& identity, std::string hash, std::string password) {
  co_return co_await identity.runtime.Offload([&hash, &password]() -> absl::StatusOr<bool> {
    if (hash.empty()) {
      // Spends what a check spends, so that the time does not tell whether the login exists.
      auto spent = Argon2(password);
      if (!spent.ok()) return spent.status();
      return false;
    }
    return crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
  });
}

absl::Status WrongCredentials() {
  return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_CREDENTIALS_INVALID,
               "the login or the password is wrong");
}

absl::Status NotSignedIn(const std::string& text) {
  return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID, text);
}

}  // namespace crm::identity
