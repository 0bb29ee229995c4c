#include "common/app/config.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <fstream>
#include <sstream>

#include "common/base/error.h"
#include "common/base/status.h"
#include "common/json/json.h"
#include "common/obs/log.h"

namespace crm::app {
namespace config_internal {

constexpr size_t kConfigBytesMax = 256 << 10;
constexpr size_t kSecretBytesMax = 4 << 10;
// Metrics are served this much above the health port unless the configuration says otherwise.
constexpr int kMetricsOffset = 100;

absl::Status Wrong(const std::string& field, const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat("the configuration's ", field, " ", what, "."));
}

absl::Status NeedFile(const std::string& path, const std::string& field) {
  if (path.empty()) return Wrong(field, "is missing");
  if (!std::ifstream(path)) return Wrong(field, absl::StrCat("names ", path, ", which cannot be read"));
  return absl::OkStatus();
}

absl::Status NotNegative(int value, const std::string& field) {
  return value < 0 ? Wrong(field, "must not be negative") : absl::OkStatus();
}

// A value in conninfo: quoted, as libpq reads it.
std::string Quoted(const std::string& value) {
  std::string out = "'";
  for (char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

absl::Status CheckPostgres(const v1::Config& config) {
  const auto& postgres = config.postgres();
  if (postgres.host().empty()) return Wrong("postgres.host", "is missing");
  if (postgres.port() <= 0 || postgres.port() > 65535) return Wrong("postgres.port", "must be 1 to 65535");
  if (postgres.database().empty()) return Wrong("postgres.database", "is missing");
  return absl::OkStatus();
}

}  // namespace config_internal

namespace cfg = config_internal;

absl::StatusOr<v1::Config> LoadConfig(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::FailedPreconditionError(absl::StrCat("the configuration ", path, " cannot be read."));
  std::ostringstream text;
  text << in.rdbuf();
  v1::Config config;
  json::ReadOptions options;
  options.bytes_max = cfg::kConfigBytesMax;
  if (absl::Status read = json::Read(text.str(), config, options); !read.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("the configuration ", path, ": ", read.message()));
  }
  return config;
}

absl::StatusOr<std::string> ReadSecret(const std::string& path, const std::string& field) {
  if (path.empty()) return std::string();
  std::ifstream in(path, std::ios::binary);
  if (!in) return cfg::Wrong(field, absl::StrCat("names ", path, ", which cannot be read"));
  std::ostringstream text;
  text << in.rdbuf();
  std::string secret = text.str();
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.empty()) return cfg::Wrong(field, absl::StrCat("names ", path, ", which is empty"));
  if (secret.size() > cfg::kSecretBytesMax)
    return cfg::Wrong(field, absl::StrCat("names ", path, ", which is too long"));
  return secret;
}

absl::StatusOr<Address> ParseAddress(const std::string& text, const std::string& field) {
  const size_t colon = text.rfind(':');
  Address address;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &address.port) || address.port < 0 ||
      address.port > 65535) {
    return cfg::Wrong(field,
                      absl::StrCat("is \"", text, "\" but must be an address with a port, such as \"127.0.0.1:7101\""));
  }
  address.host = text.substr(0, colon);
  if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);  // [::1]:7101
  }
  if (address.host.empty()) return cfg::Wrong(field, "has no host; \"0.0.0.0:<port>\" means every interface");
  return address;
}

absl::StatusOr<Address> MetricsAddress(const v1::Config& config) {
  if (!config.metrics_listen().empty()) return ParseAddress(config.metrics_listen(), "metrics_listen");
  CRM_TRY(Address address, ParseAddress(config.health_listen(), "health_listen"));
  if (address.port != 0) address.port += cfg::kMetricsOffset;
  return address;
}

absl::Status CheckServing(const v1::Config& config, const std::string& service) {
  if (config.listen().empty()) return cfg::Wrong("listen", "is missing");
  CRM_TRY(ParseAddress(config.listen(), "listen"));
  if (config.health_listen().empty()) return cfg::Wrong("health_listen", "is missing");
  CRM_TRY(MetricsAddress(config));
  CRM_TRY(cfg::NeedFile(config.tls().cert_file(), "tls.cert_file"));
  CRM_TRY(cfg::NeedFile(config.tls().key_file(), "tls.key_file"));
  CRM_TRY(cfg::NeedFile(config.tls().ca_file(), "tls.ca_file"));
  if (config.tokens().issuer().empty()) return cfg::Wrong("tokens.issuer", "is missing");
  CRM_TRY(cfg::NeedFile(config.tokens().jwks_file(), "tokens.jwks_file"));
  if (config.has_postgres()) {
    CRM_TRY(cfg::CheckPostgres(config));
    CRM_TRY(ReadSecret(config.postgres().password_file(), "postgres.password_file"));
    CRM_TRY(ReadSecret(config.postgres().worker_password_file(), "postgres.worker_password_file"));
    if (!config.postgres().admin_password_file().empty()) {
      return cfg::Wrong("postgres.admin_password_file", "must not be given to a serving process: only to `migrate`");
    }
    CRM_TRY(cfg::NotNegative(config.postgres().point_connections(), "postgres.point_connections"));
    CRM_TRY(cfg::NotNegative(config.postgres().list_connections(), "postgres.list_connections"));
    CRM_TRY(cfg::NotNegative(config.postgres().write_connections(), "postgres.write_connections"));
  }
  if (config.redis().host().empty()) return cfg::Wrong("redis.host", "is missing");
  if (config.redis().port() <= 0 || config.redis().port() > 65535)
    return cfg::Wrong("redis.port", "must be 1 to 65535");
  for (const auto& [name, address] : config.peers()) {
    if (name == service) return cfg::Wrong("peers", absl::StrCat("names ", service, " itself"));
    if (address.empty()) return cfg::Wrong(absl::StrCat("peers.", name), "is empty");
  }
  if (config.loops() < 0 || config.loops() > 64) return cfg::Wrong("loops", "must be 0 to 64");
  if (config.offload_threads() < 0 || config.offload_threads() > 64)
    return cfg::Wrong("offload_threads", "must be 0 to 64");
  CRM_TRY(cfg::NotNegative(config.drain_wait_seconds(), "drain_wait_seconds"));
  CRM_TRY(cfg::NotNegative(config.drain_seconds(), "drain_seconds"));
  CRM_TRY(cfg::NotNegative(config.in_flight_max(), "in_flight_max"));
  obs::Level level;
  if (!obs::ParseLevel(config.log_level(), &level)) {
    return cfg::Wrong("log_level", "must be \"debug\", \"info\", \"warning\" or \"error\"");
  }
  return absl::OkStatus();
}

absl::Status CheckMigrating(const v1::Config& config) {
  CRM_TRY(cfg::CheckPostgres(config));
  if (config.postgres().admin_user().empty()) return cfg::Wrong("postgres.admin_user", "is missing");
  if (config.common_migrations_dir().empty()) return cfg::Wrong("common_migrations_dir", "is missing");
  if (config.migrations_dir().empty()) return cfg::Wrong("migrations_dir", "is missing");
  CRM_TRY(ReadSecret(config.postgres().admin_password_file(), "postgres.admin_password_file"));
  CRM_TRY(ReadSecret(config.postgres().password_file(), "postgres.password_file"));
  return ReadSecret(config.postgres().worker_password_file(), "postgres.worker_password_file").status();
}

std::string ConnInfo(const v1::Config::Postgres& postgres, const std::string& user) {
  return absl::StrCat("host=", cfg::Quoted(postgres.host()), " port=", postgres.port(),
                      " dbname=", cfg::Quoted(postgres.database()), " user=", cfg::Quoted(user));
}

}  // namespace crm::app
