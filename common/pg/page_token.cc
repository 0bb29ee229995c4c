#include "common/pg/page_token.h"

#include <absl/strings/escaping.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "common/base/error.h"

namespace crm::pg {
namespace page_token {

// 96 bits: far beyond guessing, and short in a URL.
constexpr size_t kSealBytes = 12;
constexpr char kVersion = '1';
// Longer than any key that we make; bounds the work on foreign text.
constexpr size_t kTokenBytesMax = 16 * 1024;

std::string& Key() {
  static std::string key = "crm page token, sealed without a configured key";
  return key;
}

// HMAC-SHA256 with the key set; looking the algorithm up costs four times what sealing does.
EVP_MAC_CTX* KeyedContext() {
  struct Keyed {
    std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context{nullptr, &EVP_MAC_CTX_free};
    std::string key;
  };
  thread_local Keyed keyed;
  if (keyed.context == nullptr || keyed.key != Key()) {
    std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr), &EVP_MAC_free);
    keyed.context.reset(EVP_MAC_CTX_new(mac.get()));
    keyed.key = Key();
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    if (keyed.context == nullptr ||
        EVP_MAC_init(keyed.context.get(), reinterpret_cast<const unsigned char*>(keyed.key.data()), keyed.key.size(),
                     params) != 1) {
      std::abort();  // OpenSSL without HMAC, or out of memory
    }
  }
  return keyed.context.get();
}

std::string Seal(absl::string_view binding, absl::string_view body) {
  std::string text = std::to_string(binding.size());
  text.push_back(':');
  text.append(binding.data(), binding.size());
  text.append(body.data(), body.size());
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  size_t length = 0;
  EVP_MAC_CTX* context = KeyedContext();
  if (EVP_MAC_init(context, nullptr, 0, nullptr) != 1 ||
      EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1 ||
      EVP_MAC_final(context, mac.data(), &length, mac.size()) != 1) {
    std::abort();  // out of memory
  }
  return std::string(reinterpret_cast<const char*>(mac.data()), kSealBytes);
}

absl::Status Invalid() {
  return Error(
      absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_PAGE_TOKEN_INVALID,
      "page_token does not belong to this list with this filter and order. Send the request without it to begin at "
      "the first page.");
}

}  // namespace page_token

void SetPageTokenKey(std::string key) { page_token::Key() = std::move(key); }

std::string MakePageToken(absl::string_view binding, const PageKey& key) {
  std::string body(1, page_token::kVersion);
  for (const auto& value : key) {
    // Length + 1, so that 0 can say NULL; base 128, lowest first.
    uint64_t length = value ? value->size() + 1 : 0;
    for (; length >= 128; length >>= 7) body.push_back(static_cast<char>(length | 128));
    body.push_back(static_cast<char>(length));
    if (value) body += *value;
  }
  std::string token;
  absl::WebSafeBase64Escape(page_token::Seal(binding, body) + body, &token);
  while (!token.empty() && token.back() == '=') token.pop_back();
  return token;
}

absl::StatusOr<PageKey> ReadPageToken(absl::string_view binding, absl::string_view token) {
  std::string raw;
  if (token.size() > page_token::kTokenBytesMax || !absl::WebSafeBase64Unescape(token, &raw) ||
      raw.size() <= page_token::kSealBytes) {
    return page_token::Invalid();
  }
  const absl::string_view body = absl::string_view(raw).substr(page_token::kSealBytes);
  if (CRYPTO_memcmp(raw.data(), page_token::Seal(binding, body).data(), page_token::kSealBytes) != 0 ||
      body.front() != page_token::kVersion) {
    return page_token::Invalid();
  }
  PageKey key;
  size_t at = 1;
  while (at < body.size()) {
    uint64_t length = 0;
    for (int shift = 0;; shift += 7) {
      if (at == body.size() || shift > 28) return page_token::Invalid();
      const auto byte = static_cast<unsigned char>(body[at++]);
      length |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) break;
    }
    if (length == 0) {
      key.emplace_back();
      continue;
    }
    if (length - 1 > body.size() - at) return page_token::Invalid();
    key.emplace_back(std::string(body.substr(at, length - 1)));
    at += length - 1;
  }
  return key;
}

}  // namespace crm::pg
