#include "services/messaging/secrets.h"

#include <sodium.h>

namespace crm::messaging {
namespace secrets_internal {

const unsigned char* Bytes(absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

constexpr size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr size_t kKey = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;

}  // namespace secrets_internal

namespace sx = secrets_internal;

absl::StatusOr<SecretBox> SecretBox::Make(absl::string_view key) {
  SecretBox box;
  box.key_.resize(sx::kKey);
  size_t length = 0;
  if (sodium_init() < 0) return absl::InternalError("libsodium cannot be used");
  if (key.size() != 2 * sx::kKey ||
      sodium_hex2bin(sx::Bytes(box.key_), sx::kKey, key.data(), key.size(), nullptr, &length, nullptr) != 0 ||
      length != sx::kKey) {
    return absl::FailedPreconditionError("the key of messaging.secrets_key_file must be 64 hexadecimal digits");
  }
  return box;
}

std::string SecretBox::Seal(absl::string_view secret, absl::string_view context) const {
  std::string sealed(sx::kNonce + secret.size() + sx::kTag, '\0');
  randombytes_buf(sealed.data(), sx::kNonce);
  unsigned long long length = 0;
  crypto_aead_xchacha20poly1305_ietf_encrypt(sx::Bytes(sealed) + sx::kNonce, &length, sx::Bytes(secret), secret.size(),
                                             sx::Bytes(context), context.size(), nullptr, sx::Bytes(sealed),
                                             sx::Bytes(key_));
  return sealed;
}

absl::StatusOr<std::string> SecretBox::Open(absl::string_view sealed, absl::string_view context) const {
  const auto lost =
      absl::DataLossError("a stored password cannot be opened: the key has changed; set the password again");
  if (sealed.size() < sx::kNonce + sx::kTag) return lost;
  std::string secret(sealed.size() - sx::kNonce - sx::kTag, '\0');
  unsigned long long length = 0;
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(sx::Bytes(secret), &length, nullptr, sx::Bytes(sealed) + sx::kNonce,
                                                 sealed.size() - sx::kNonce, sx::Bytes(context), context.size(),
                                                 sx::Bytes(sealed), sx::Bytes(key_)) != 0) {
    return lost;
  }
  return secret;
}

}  // namespace crm::messaging
