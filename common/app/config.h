// Strict configuration: crm.app.v1.Config as JSON. Unknown fields are refused, and every error names the file and
// field.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "crm/app/v1/config.pb.h"

namespace crm::app {

// Reads the file; checks only what it says itself.
absl::StatusOr<v1::Config> LoadConfig(const std::string& path);

// What serving needs: addresses, TLS, tokens, and secrets that can be read. `service` is the process's name.
absl::Status CheckServing(const v1::Config& config, const std::string& service);
// What `migrate` needs.
absl::Status CheckMigrating(const v1::Config& config);

// The content of a secret's file without the line's end; `field` is named in the error. Empty for an empty path.
absl::StatusOr<std::string> ReadSecret(const std::string& path, const std::string& field);

// "127.0.0.1:7101" -> host and port.
struct Address {
  std::string host;
  int port = 0;
};
absl::StatusOr<Address> ParseAddress(const std::string& text, const std::string& field);
// Where /metrics is served.
absl::StatusOr<Address> MetricsAddress(const v1::Config& config);

// libpq's conninfo for a role, without its password.
std::string ConnInfo(const v1::Config::Postgres& postgres, const std::string& user);

}  // namespace crm::app
