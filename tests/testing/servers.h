// A PostgreSQL and a Redis of the test binary's own: started at the first use on free ports in a temporary folder,
// ended and removed with the process, also when it crashes.
//
//   class ContactTest : public testing::Test {
//     void SetUp() override { CRM_NEED_SERVERS("contact"); }      // skips where they are not installed; migrates
//     crm::testing::Loop loop_;
//     pg::Db db_{crm::testing::Servers::Get().Db("contact"), {loop_.executor()}};
//   };
//   TEST_F(ContactTest, ...) { auto got = loop_.Run(db_.Get(call, contacts, id)); ... }
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/pg/db.h"

namespace crm::testing {

class Servers {
 public:
  static Servers& Get();

  // Empty if both run; otherwise what is not installed. Servers that are installed but do not start end the process.
  const std::string& missing() const { return missing_; }

  int postgres_port() const { return postgres_port_; }
  int redis_port() const { return redis_port_; }
  // The superuser's conninfo, for assertions and for Migrate.
  std::string Admin() const;
  // What Db needs to speak as the service's role, or as another one ("contact_worker").
  pg::DbOptions Db(const std::string& schema, const std::string& role = "") const;

  // Applies common/pg/migrations and services/<schema>/migrations, once per process. Ends the process if they fail.
  void Migrate(const std::string& schema);
  // Removes all rows of the schema, so that a test starts from nothing. Roles, tables and numbers of migrations stay.
  void Clear(const std::string& schema);

  // Runs SQL as the superuser (who sees every tenant); rows of texts, NULL as "".
  std::vector<std::vector<std::string>> Sql(const std::string& sql) const;
  // The first column of the first row; "" if there is none.
  std::string Value(const std::string& sql) const;

  // Faults. Kill ends PostgreSQL as a power cut would (SIGQUIT, no checkpoint); Start brings it back on the same port.
  void KillPostgres();
  void StartPostgres();
  void KillRedis();  // its data is gone
  void StartRedis();

  // The repository's folder, for reading files in tests.
  static std::string Source();

  ~Servers();

 private:
  Servers();
  std::string missing_;
  std::string dir_;
  int postgres_port_ = 0, redis_port_ = 0;
  int postgres_pid_ = 0, redis_pid_ = 0;
  std::map<std::string, bool> migrated_;
};

}  // namespace crm::testing

// Skips the test where the servers are not installed; applies the named services' migrations.
#define CRM_NEED_SERVERS(...)                                                                                        \
  do {                                                                                                               \
    if (!::crm::testing::Servers::Get().missing().empty()) {                                                         \
      GTEST_SKIP() << ::crm::testing::Servers::Get().missing();                                                      \
    }                                                                                                                \
    for (const char* schema : std::vector<const char*>{__VA_ARGS__}) ::crm::testing::Servers::Get().Migrate(schema); \
  } while (false)
