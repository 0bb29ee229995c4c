// Ed25519 keys and hand-made tokens for tests of what must be refused.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "common/base/id.h"
#include "common/rpc/token.h"

namespace crm::testing {

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "crm_rpc_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline void WriteFile(const std::string& path, const std::string& text) {
  // Replaced at once, as whoever renews keys must do.
  std::ofstream(path + ".new", std::ios::binary) << text;
  std::filesystem::rename(path + ".new", path);
}

struct Ed25519 {
  std::shared_ptr<EVP_PKEY> key;

  Ed25519() : key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free) {}

  std::string Public() const {
    std::string raw(32, '\0');
    size_t length = raw.size();
    EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(raw.data()), &length);
    return raw;
  }
  std::string Jwk(const std::string& kid) const {
    return R"({"kty":"OKP","crv":"Ed25519","kid":")" + kid + R"(","x":")" + rpc::Base64Url(Public()) + R"("})";
  }
  std::string Pem() const {
    std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
    PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<size_t>(size));
  }
  std::string Sign(const std::string& text) const {
    std::string signature(64, '\0');
    size_t length = signature.size();
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get());
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                   reinterpret_cast<const unsigned char*>(text.data()), text.size());
    return signature;
  }
  // A token of any header and claims, properly signed.
  std::string Token(const std::string& header, const std::string& claims) const {
    const std::string text = rpc::Base64Url(header) + "." + rpc::Base64Url(claims);
    return text + "." + rpc::Base64Url(Sign(text));
  }
};

inline std::string Jwks(const std::vector<std::string>& keys) {
  std::string text = R"({"keys":[)";
  for (size_t i = 0; i < keys.size(); ++i) text += (i ? "," : "") + keys[i];
  return text + "]}";
}

inline rpc::Claims SomeClaims(absl::Time now) {
  rpc::Claims claims;
  claims.issuer = "crm";
  claims.subject = NewId("user", now);
  claims.tenant = NewId("tenant", now);
  claims.session = NewId("session", now);
  claims.team = NewId("team", now);
  claims.teams = {claims.team, NewId("team", now)};
  claims.roles = {NewId("role", now)};
  claims.kind = "user";
  claims.language = "ru";
  claims.time_zone = "Europe/Berlin";
  claims.issue_time = now;
  claims.expire_time = now + absl::Minutes(10);
  return claims;
}

}  // namespace crm::testing
