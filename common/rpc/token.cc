#include "common/rpc/token.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <sstream>
#include <variant>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace crm::rpc {
namespace token_internal {

constexpr size_t kKeyBytes = 32;
constexpr size_t kSignatureBytes = 64;
constexpr size_t kJwksBytesMax = 64 << 10;
constexpr char kType[] = "at+jwt";
constexpr char kAlgorithm[] = "EdDSA";

struct PkeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Pkey = std::unique_ptr<EVP_PKEY, PkeyFree>;
struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

// A flat JSON object as tokens have them: texts, whole numbers and lists of texts; no name twice, nothing deeper.
using Value = std::variant<std::string, int64_t, std::vector<std::string>>;
using Object = absl::flat_hash_map<std::string, Value>;

class FlatReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit FlatReader(Object& out) : out_(out) {}
  bool null() override { return false; }
  bool boolean(bool) override { return false; }
  bool number_integer(number_integer_t value) override { return Put(Value(static_cast<int64_t>(value))); }
  bool number_unsigned(number_unsigned_t value) override {
    return value <= static_cast<uint64_t>(INT64_MAX) && Put(Value(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t, const string_t&) override { return false; }
  bool string(string_t& value) override {
    if (!in_list_) return Put(Value(std::move(value)));
    list_.push_back(std::move(value));
    return true;
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    if (in_object_) return false;
    return in_object_ = true;
  }
  bool key(string_t& name) override {
    name_ = std::move(name);
    return !out_.contains(name_);
  }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override {
    if (!in_object_ || in_list_) return false;
    list_.clear();
    return in_list_ = true;
  }
  bool end_array() override {
    in_list_ = false;
    return Put(Value(std::move(list_)));
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool Put(Value value) {
    if (!in_object_ || in_list_) return false;
    return out_.emplace(name_, std::move(value)).second;
  }
  Object& out_;
  std::string name_;
  std::vector<std::string> list_;
  bool in_object_ = false;
  bool in_list_ = false;
};

bool ReadFlat(const std::string& text, Object& out) {
  if (text.empty() || text.front() != '{') return false;  // the parser would skip a byte order mark
  FlatReader reader(out);
  return nlohmann::json::sax_parse(text, &reader);
}

template <typename T>
const T* Find(const Object& object, absl::string_view name) {
  auto it = object.find(name);
  return it == object.end() ? nullptr : std::get_if<T>(&it->second);
}

absl::Status Refused(absl::string_view why) {
  return Error(absl::StatusCode::kUnauthenticated, type::v1::ERROR_REASON_TOKEN_INVALID,
               absl::StrCat("The token cannot be accepted: ", why, ". Sign in again."), {{"why", std::string(why)}});
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::FailedPreconditionError(absl::StrCat(path, " cannot be read."));
  std::ostringstream text;
  text << in.rdbuf();
  std::string out = text.str();
  if (out.size() > bytes_max)
    return absl::FailedPreconditionError(absl::StrCat(path, " is longer than ", bytes_max, " bytes."));
  return out;
}

struct Key {
  std::string raw;  // the public key's 32 bytes
  Pkey pkey;
};
using Keys = absl::flat_hash_map<std::string, Key>;

absl::StatusOr<Keys> ReadJwks(const std::string& path) {
  CRM_TRY(const std::string text, ReadFile(path, kJwksBytesMax));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("keys") || !json["keys"].is_array()) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is no JSON Web Key Set: it needs {\"keys\": [...]}."));
  }
  Keys keys;
  for (const auto& entry : json["keys"]) {
    auto member = [&](const char* name) {
      auto it = entry.find(name);
      return it != entry.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    if (!entry.is_object() || member("kty") != "OKP" || member("crv") != "Ed25519") {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": every key must have kty \"OKP\" and crv \"Ed25519\"."));
    }
    if (entry.contains("d"))
      return absl::FailedPreconditionError(absl::StrCat(path, ": a private key must not stand here."));
    const std::string kid = member("kid");
    Key key;
    if (kid.empty() || kid.size() > 128 || !ReadBase64Url(member("x"), &key.raw) || key.raw.size() != kKeyBytes) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": a key needs a kid and the 32 bytes x in base64url."));
    }
    key.pkey.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                               reinterpret_cast<const unsigned char*>(key.raw.data()), kKeyBytes));
    if (!key.pkey) return absl::FailedPreconditionError(absl::StrCat(path, ": the key ", kid, " is no Ed25519 key."));
    if (!keys.emplace(kid, std::move(key)).second) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": the kid ", kid, " stands twice."));
    }
  }
  if (keys.empty())
    return absl::FailedPreconditionError(absl::StrCat(path, " has no keys: no token could be verified."));
  return keys;
}

// What of a file changes when it is written or replaced.
struct Stamp {
  int64_t seconds = 0, nanos = 0, size = -1;
  uint64_t inode = 0;
  bool operator==(const Stamp&) const = default;
};
Stamp StampOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino};
}

bool IsId(absl::string_view text, absl::string_view prefix) {
  auto id = ParseId(text);
  return id.ok() && id->prefix == prefix;
}

absl::StatusOr<Claims> ReadClaims(const std::string& text) {
  Object object;
  if (!ReadFlat(text, object)) return Refused("its claims are no flat JSON object");
  Claims claims;
  auto text_of = [&](const char* name, bool required, std::string* out) -> absl::Status {
    auto it = object.find(name);
    if (it == object.end())
      return required ? Refused(absl::StrCat("the claim ", name, " is missing")) : absl::OkStatus();
    const auto* value = std::get_if<std::string>(&it->second);
    if (value == nullptr) return Refused(absl::StrCat("the claim ", name, " is no text"));
    *out = *value;
    return absl::OkStatus();
  };
  auto list_of = [&](const char* name, const char* prefix, std::vector<std::string>* out) -> absl::Status {
    auto it = object.find(name);
    if (it == object.end()) return absl::OkStatus();
    const auto* value = std::get_if<std::vector<std::string>>(&it->second);
    if (value == nullptr) return Refused(absl::StrCat("the claim ", name, " is no list of ids"));
    for (const auto& id : *value) {
      if (!IsId(id, prefix)) return Refused(absl::StrCat("the claim ", name, " has something else than ids"));
    }
    *out = *value;
    return absl::OkStatus();
  };
  auto time_of = [&](const char* name, bool required, absl::Time* out) -> absl::Status {
    auto it = object.find(name);
    if (it == object.end())
      return required ? Refused(absl::StrCat("the claim ", name, " is missing")) : absl::OkStatus();
    const auto* value = std::get_if<int64_t>(&it->second);
    if (value == nullptr || *value < 0 || *value > int64_t{253402300799}) {  // the end of the year 9999
      return Refused(absl::StrCat("the claim ", name, " is no time"));
    }
    *out = absl::FromUnixSeconds(*value);
    return absl::OkStatus();
  };
  std::string audience;
  absl::Time not_before = absl::UnixEpoch();
  CRM_TRY(text_of("iss", true, &claims.issuer));
  CRM_TRY(text_of("aud", true, &audience));
  CRM_TRY(text_of("sub", true, &claims.subject));
  CRM_TRY(text_of("tid", true, &claims.tenant));
  CRM_TRY(text_of("sid", false, &claims.session));
  CRM_TRY(text_of("team", false, &claims.team));
  CRM_TRY(text_of("kind", true, &claims.kind));
  CRM_TRY(text_of("lang", false, &claims.language));
  CRM_TRY(text_of("zone", false, &claims.time_zone));
  CRM_TRY(text_of("country", false, &claims.country));
  CRM_TRY(text_of("currency", false, &claims.currency));
  CRM_TRY(list_of("teams", "team", &claims.teams));
  CRM_TRY(list_of("roles", "role", &claims.roles));
  CRM_TRY(time_of("iat", true, &claims.issue_time));
  CRM_TRY(time_of("exp", true, &claims.expire_time));
  CRM_TRY(time_of("nbf", false, &not_before));
  if (audience != kAudience) return Refused("it is for someone else (aud)");
  if (claims.kind == "user") {
    if (!IsId(claims.subject, "user")) return Refused("its subject is no user");
    if (!IsId(claims.session, "session")) return Refused("it names no session");
  } else if (claims.kind == "api_key") {
    if (!IsId(claims.subject, "key")) return Refused("its subject is no API key");
    if (!claims.session.empty()) return Refused("an API key has no session");
  } else {
    return Refused("its kind is unknown");
  }
  if (!IsId(claims.tenant, "tenant")) return Refused("it names no tenant");
  if (!claims.team.empty() && !IsId(claims.team, "team")) return Refused("its team is none");
  if (claims.language.size() > 35 || claims.time_zone.size() > 64) return Refused("its language or zone is too long");
  if (not_before > claims.issue_time) claims.issue_time = not_before;
  return claims;
}

}  // namespace token_internal

namespace tin = token_internal;

std::array<uint8_t, 32> Sha256(absl::string_view text) {
  // Fetching the algorithm by name costs more than hashing a request.
  static const EVP_MD* md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local tin::Context context(EVP_MD_CTX_new());
  std::array<uint8_t, 32> out{};
  unsigned int length = 0;
  if (EVP_DigestInit_ex2(context.get(), md, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), out.data(), &length) != 1) {
    std::abort();  // out of memory, or OpenSSL is broken: hashes guard identities, so there is nothing to go on with
  }
  return out;
}

std::string Base64Url(absl::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  out.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int have = 0;
  for (unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    for (have += 8; have >= 6;) {
      have -= 6;
      out += kDigits[(bits >> have) & 63];
    }
  }
  if (have > 0) out += kDigits[(bits << (6 - have)) & 63];
  return out;
}

bool ReadBase64Url(absl::string_view text, std::string* bytes) {
  bytes->clear();
  if (text.size() % 4 == 1) return false;
  uint32_t bits = 0;
  int have = 0;
  for (char c : text) {
    int digit;
    if (c >= 'A' && c <= 'Z') {
      digit = c - 'A';
    } else if (c >= 'a' && c <= 'z') {
      digit = c - 'a' + 26;
    } else if (c >= '0' && c <= '9') {
      digit = c - '0' + 52;
    } else if (c == '-') {
      digit = 62;
    } else if (c == '_') {
      digit = 63;
    } else {
      return false;
    }
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    have += 6;
    if (have >= 8) {
      have -= 8;
      *bytes += static_cast<char>((bits >> have) & 0xff);
    }
  }
  return (bits & ((1u << have) - 1)) == 0;  // two texts must not stand for the same bytes
}

struct TokenVerifier::Impl {
  std::string issuer;
  std::string file;
  std::shared_mutex mutex;
  std::shared_ptr<const tin::Keys> keys;
  tin::Stamp stamp;
  std::atomic<uint64_t> generation{1};
};

TokenVerifier::TokenVerifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenVerifier::~TokenVerifier() = default;

absl::StatusOr<std::unique_ptr<TokenVerifier>> TokenVerifier::Make(std::string issuer, std::string jwks_file) {
  if (issuer.empty()) return absl::FailedPreconditionError("tokens.issuer is missing in the configuration.");
  auto impl = std::make_unique<Impl>();
  impl->issuer = std::move(issuer);
  impl->file = std::move(jwks_file);
  impl->stamp = tin::StampOf(impl->file);
  CRM_TRY(auto keys, tin::ReadJwks(impl->file));
  impl->keys = std::make_shared<const tin::Keys>(std::move(keys));
  return std::unique_ptr<TokenVerifier>(new TokenVerifier(std::move(impl)));
}

void TokenVerifier::Refresh() {
  const tin::Stamp stamp = tin::StampOf(impl_->file);
  {
    std::shared_lock lock(impl_->mutex);
    if (stamp == impl_->stamp) return;
  }
  auto keys = tin::ReadJwks(impl_->file);
  std::unique_lock lock(impl_->mutex);
  if (stamp == impl_->stamp) return;
  impl_->stamp = stamp;
  if (!keys.ok()) {
    obs::Log(obs::Level::kError, "the new key set cannot be used; the old keys stay",
             {{"why", keys.status().message()}});
    return;
  }
  impl_->keys = std::make_shared<const tin::Keys>(*std::move(keys));
  ++impl_->generation;
  obs::Log(obs::Level::kInfo, "token keys were read again", {{"keys", impl_->keys->size()}});
}

std::string TokenVerifier::Jwks() const {
  std::shared_ptr<const tin::Keys> keys;
  {
    std::shared_lock lock(impl_->mutex);
    keys = impl_->keys;
  }
  std::map<std::string, std::string> sorted;  // the same text as long as the keys are the same
  for (const auto& [kid, key] : *keys) sorted[kid] = absl::WebSafeBase64Escape(key.raw);
  nlohmann::ordered_json out{{"keys", nlohmann::ordered_json::array()}};
  for (const auto& [kid, x] : sorted) {
    out["keys"].push_back(
        {{"kty", "OKP"}, {"crv", "Ed25519"}, {"alg", "EdDSA"}, {"use", "sig"}, {"kid", kid}, {"x", x}});
  }
  return out.dump();
}

uint64_t TokenVerifier::generation() const { return impl_->generation.load(std::memory_order_acquire); }

absl::StatusOr<Claims> TokenVerifier::Verify(absl::string_view token, absl::Time now) {
  using tin::Refused;
  if (token.size() > kTokenBytesMax) return Refused("it is too long");
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3) return Refused("it does not have three parts");
  std::string header_text, claims_text, signature;
  if (!ReadBase64Url(parts[0], &header_text) || !ReadBase64Url(parts[1], &claims_text) ||
      !ReadBase64Url(parts[2], &signature)) {
    return Refused("its parts are not base64url");
  }
  tin::Object header;
  if (!tin::ReadFlat(header_text, header)) return Refused("its header is no flat JSON object");
  const auto* algorithm = tin::Find<std::string>(header, "alg");
  const auto* type = tin::Find<std::string>(header, "typ");
  const auto* kid = tin::Find<std::string>(header, "kid");
  if (algorithm == nullptr || *algorithm != tin::kAlgorithm) return Refused("its algorithm is not EdDSA");
  if (type == nullptr || *type != tin::kType) return Refused("its type is not at+jwt");
  if (kid == nullptr) return Refused("it names no key");
  // jku, x5u, jwk, crit and whatever else could steer the check.
  if (header.size() != 3) return Refused("its header has members that we do not use");
  if (signature.size() != tin::kSignatureBytes) return Refused("its signature does not have 64 bytes");

  Refresh();
  std::shared_ptr<const tin::Keys> keys;
  {
    std::shared_lock lock(impl_->mutex);
    keys = impl_->keys;
  }
  auto key = keys->find(*kid);
  if (key == keys->end()) return Refused("its key is unknown");
  const absl::string_view signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
  tin::Context context(EVP_MD_CTX_new());
  if (!context || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key->second.pkey.get()) != 1 ||
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size()) != 1) {
    return Refused("its signature is wrong");
  }

  CRM_TRY(Claims claims, tin::ReadClaims(claims_text));
  if (claims.issuer != impl_->issuer) return Refused("it was issued by someone else");
  if (claims.expire_time <= now) return Refused("it has expired");
  if (claims.issue_time > now + kClockLeeway) return Refused("it is not valid yet");
  if (claims.expire_time <= claims.issue_time || claims.expire_time - claims.issue_time > kTokenLifeMax) {
    return Refused("it lives longer than tokens may");
  }
  return claims;
}

struct TokenSigner::Impl {
  tin::Pkey key;
  std::string kid;
  std::string header;  // encoded, with its dot
};

TokenSigner::TokenSigner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenSigner::~TokenSigner() = default;

absl::StatusOr<std::unique_ptr<TokenSigner>> TokenSigner::Make(const std::string& key_file,
                                                               const std::string& jwks_file) {
  auto impl = std::make_unique<Impl>();
  CRM_TRY(const std::string pem, tin::ReadFile(key_file, 16 << 10));
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  impl->key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!impl->key || EVP_PKEY_get_id(impl->key.get()) != EVP_PKEY_ED25519) {
    return absl::FailedPreconditionError(absl::StrCat(key_file, " is no Ed25519 private key in PEM."));
  }
  std::string raw(tin::kKeyBytes, '\0');
  size_t length = raw.size();
  if (EVP_PKEY_get_raw_public_key(impl->key.get(), reinterpret_cast<unsigned char*>(raw.data()), &length) != 1) {
    return absl::FailedPreconditionError(absl::StrCat(key_file, " has no public part."));
  }
  CRM_TRY(const auto keys, tin::ReadJwks(jwks_file));
  for (const auto& [kid, key] : keys) {
    if (key.raw == raw) impl->kid = kid;
  }
  if (impl->kid.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("The public part of ", key_file, " is not among the keys of ",
                                                      jwks_file, ": add it there first."));
  }
  const nlohmann::json header = {{"alg", tin::kAlgorithm}, {"kid", impl->kid}, {"typ", tin::kType}};
  impl->header = Base64Url(header.dump()) + ".";
  return std::unique_ptr<TokenSigner>(new TokenSigner(std::move(impl)));
}

const std::string& TokenSigner::key_id() const { return impl_->kid; }

std::string TokenSigner::Sign(const Claims& claims) const {
  nlohmann::json body = {{"iss", claims.issuer},
                         {"aud", kAudience},
                         {"sub", claims.subject},
                         {"tid", claims.tenant},
                         {"roles", claims.roles},
                         {"kind", claims.kind},
                         {"iat", absl::ToUnixSeconds(claims.issue_time)},
                         {"exp", absl::ToUnixSeconds(claims.expire_time)}};
  if (!claims.session.empty()) body["sid"] = claims.session;
  if (!claims.team.empty()) body["team"] = claims.team;
  if (!claims.teams.empty()) body["teams"] = claims.teams;
  if (!claims.language.empty()) body["lang"] = claims.language;
  if (!claims.time_zone.empty()) body["zone"] = claims.time_zone;
  if (!claims.country.empty()) body["country"] = claims.country;
  if (!claims.currency.empty()) body["currency"] = claims.currency;
  std::string text = impl_->header + Base64Url(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  unsigned char signature[tin::kSignatureBytes];
  size_t length = sizeof signature;
  tin::Context context(EVP_MD_CTX_new());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, impl_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature, &length, reinterpret_cast<const unsigned char*>(text.data()),
                     text.size()) != 1) {
    std::abort();  // out of memory: the key was checked when it was read
  }
  return text + "." + Base64Url(absl::string_view(reinterpret_cast<char*>(signature), length));
}

}  // namespace crm::rpc
