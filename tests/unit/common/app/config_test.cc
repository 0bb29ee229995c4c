#include "common/app/config.h"

#include <absl/strings/match.h>
#include <absl/strings/str_replace.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/common/rpc/keys.h"

namespace crm::app {
namespace {

using testing::Folder;
using testing::WriteFile;

class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"cert", "key", "ca", "jwks", "password", "worker"}) WriteFile(folder_ / name, "x\n");
  }
  std::string Good() const {
    return absl::StrReplaceAll(R"({
      "listen": "127.0.0.1:7101", "health_listen": "127.0.0.1:7201",
      "tls": {"cert_file": "D/cert", "key_file": "D/key", "ca_file": "D/ca"},
      "postgres": {"host": "127.0.0.1", "port": 7432, "database": "crm", "password_file": "D/password", "worker_password_file": "D/worker"},
      "redis": {"host": "127.0.0.1", "port": 7379},
      "peers": {"contact": "127.0.0.1:7102"},
      "tokens": {"issuer": "crm", "jwks_file": "D/jwks"},
      "log_level": "debug"})",
                               {{"D/", folder_ / ""}});
  }
  absl::StatusOr<v1::Config> Load(const std::string& text) const {
    WriteFile(folder_ / "config.json", text);
    return LoadConfig(folder_ / "config.json");
  }
  const Folder folder_;
};

TEST_F(ConfigTest, AGoodOneIsRead) {
  auto config = Load(Good());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->peers().at("contact"), "127.0.0.1:7102");
  EXPECT_TRUE(CheckServing(*config, "identity").ok()) << CheckServing(*config, "identity");
  EXPECT_EQ(MetricsAddress(*config)->port, 7301);
  config->set_metrics_listen("0.0.0.0:9");
  EXPECT_EQ(MetricsAddress(*config)->port, 9);
  EXPECT_EQ(*ReadSecret(config->postgres().password_file(), "x"), "x");
}

TEST_F(ConfigTest, WhatIsNotKnownIsRefusedByName) {
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {absl::StrReplaceAll(Good(), {{"\"log_level\"", "\"loglevel\""}}), "loglevel"},
           {absl::StrReplaceAll(Good(), {{"\"cert_file\"", "\"cert\""}}), "tls.cert"},
           {absl::StrReplaceAll(Good(), {{"7432", "\"many\""}}), "postgres.port"},
           {absl::StrReplaceAll(Good(), {{"\"listen\":", "\"listen\": \"a:1\", \"listen\":"}}), "listen"},
           {"{", "config.json"},
           {"", "config.json"},
           {"[]", "config.json"}}) {
    auto config = Load(text);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kFailedPrecondition) << text;
    EXPECT_TRUE(absl::StrContains(config.status().message(), part)) << config.status();
  }
  EXPECT_FALSE(LoadConfig(folder_ / "none").ok());
}

TEST_F(ConfigTest, EveryMistakeNamesItsField) {
  using Change = std::function<void(v1::Config&)>;
  const auto good = *Load(Good());
  for (const auto& [field, change] : std::vector<std::pair<std::string, Change>>{
           {"listen", [](v1::Config& c) { c.clear_listen(); }},
           {"listen", [](v1::Config& c) { c.set_listen("7101"); }},
           {"listen", [](v1::Config& c) { c.set_listen("127.0.0.1:99999"); }},
           {"listen", [](v1::Config& c) { c.set_listen(":7101"); }},
           {"health_listen", [](v1::Config& c) { c.clear_health_listen(); }},
           {"metrics_listen", [](v1::Config& c) { c.set_metrics_listen("x"); }},
           {"tls.cert_file", [](v1::Config& c) { c.mutable_tls()->clear_cert_file(); }},
           {"tls.key_file", [](v1::Config& c) { c.mutable_tls()->set_key_file("/none"); }},
           {"tls.ca_file", [](v1::Config& c) { c.mutable_tls()->set_ca_file("/none"); }},
           {"tokens.issuer", [](v1::Config& c) { c.mutable_tokens()->clear_issuer(); }},
           {"tokens.jwks_file", [](v1::Config& c) { c.mutable_tokens()->set_jwks_file("/none"); }},
           {"postgres.host", [](v1::Config& c) { c.mutable_postgres()->clear_host(); }},
           {"postgres.port", [](v1::Config& c) { c.mutable_postgres()->set_port(0); }},
           {"postgres.database", [](v1::Config& c) { c.mutable_postgres()->clear_database(); }},
           {"postgres.password_file", [](v1::Config& c) { c.mutable_postgres()->set_password_file("/none"); }},
           {"postgres.admin_password_file", [](v1::Config& c) { c.mutable_postgres()->set_admin_password_file("x"); }},
           {"postgres.write_connections", [](v1::Config& c) { c.mutable_postgres()->set_write_connections(-1); }},
           {"redis.host", [](v1::Config& c) { c.clear_redis(); }},
           {"redis.port", [](v1::Config& c) { c.mutable_redis()->set_port(-1); }},
           {"peers", [](v1::Config& c) { (*c.mutable_peers())["identity"] = "127.0.0.1:1"; }},
           {"peers.contact", [](v1::Config& c) { (*c.mutable_peers())["contact"] = ""; }},
           {"loops", [](v1::Config& c) { c.set_loops(65); }},
           {"offload_threads", [](v1::Config& c) { c.set_offload_threads(-1); }},
           {"drain_seconds", [](v1::Config& c) { c.set_drain_seconds(-1); }},
           {"in_flight_max", [](v1::Config& c) { c.set_in_flight_max(-1); }},
           {"log_level", [](v1::Config& c) { c.set_log_level("loud"); }}}) {
    v1::Config config = good;
    change(config);
    const absl::Status wrong = CheckServing(config, "identity");
    EXPECT_EQ(wrong.code(), absl::StatusCode::kFailedPrecondition) << field;
    EXPECT_TRUE(absl::StrContains(wrong.message(), "configuration's " + field)) << field << ": " << wrong;
  }
}

TEST_F(ConfigTest, SecretsAreOneLine) {
  WriteFile(folder_ / "password", "s3cret\r\n");
  EXPECT_EQ(*ReadSecret(folder_ / "password", "f"), "s3cret");
  WriteFile(folder_ / "password", "\n");
  EXPECT_FALSE(ReadSecret(folder_ / "password", "f").ok());
  WriteFile(folder_ / "password", std::string(5000, 'x'));
  EXPECT_FALSE(ReadSecret(folder_ / "password", "f").ok());
  EXPECT_EQ(*ReadSecret("", "f"), "");
}

TEST_F(ConfigTest, ConnInfoIsQuoted) {
  v1::Config::Postgres postgres;
  postgres.set_host("/run/it's");
  postgres.set_port(5);
  postgres.set_database("a b\\c");
  EXPECT_EQ(ConnInfo(postgres, "contact"), R"(host='/run/it\'s' port=5 dbname='a b\\c' user='contact')");
}

}  // namespace
}  // namespace crm::app
