// Channels' passwords at rest: XChaCha20-Poly1305 (libsodium), bound to tenant and channel, so that a row copied elsewhere
// opens nothing. The key is a file of the operator's: the database alone gives no password away.
#pragma once

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <memory>
#include <string>

namespace crm::messaging {

class SecretBox {
 public:
  // `key`: 64 hexadecimal digits, as the key file holds them.
  static absl::StatusOr<SecretBox> Make(absl::string_view key);

  std::string Seal(absl::string_view secret, absl::string_view context) const;
  // DATA_LOSS if the key or the context is another.
  absl::StatusOr<std::string> Open(absl::string_view sealed, absl::string_view context) const;

 private:
  std::string key_;
};

}  // namespace crm::messaging
