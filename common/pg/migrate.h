// Brings a service's schema up to date: roles and schema, numbered forward-only files, then everything that follows
// from the tables (row-level security, policies, views, grants, history twins). Blocking, by libpqxx; for the `migrate`
// command and for tests. Safe to run again, and by several at once.
//
// Files: NNNN_name.sql, first those that every service has, then the service's own; each set counts for itself. A file
// runs once, in one transaction, as <schema>_owner, and must not be changed afterwards (its SHA-256 is kept). One whose
// first line is `-- no transaction` (for CREATE INDEX CONCURRENTLY) runs statement by statement and must bear
// repeating.
//
// Derived from each table that has a tenant_id:
//   row-level security, enabled and forced; policies tenant (<svc>: its own tenant's rows), reader (<svc>_reader),
//   owner view <table>_view of <svc>_reader, explicit columns, WHERE tenant_id = current_setting('app.tenant')::uuid
// and from words in the table's comment:
//   history    twin <table>_history: all columns + valid_until, superseded_by; INSERT and SELECT only
//   queue      <svc>_worker may do everything with it, in all tenants
//   deletable  <svc> may DELETE, beside SELECT, INSERT and UPDATE
//   private    none of these grants: only the owner
// No tenant set: an error, never all rows.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace crm::pg {

struct MigrateOptions {
  std::string conninfo;          // of the admin role: a superuser, or CREATEROLE that owns the database
  std::string password;          // its password; empty for none
  std::string schema;            // "contact"
  std::string common_dir;        // files that every service has
  std::string service_dir;       // the service's own; may be missing
  std::string service_password;  // of the role <schema>; left as it is when empty
  std::string worker_password;   // of the role <schema>_worker; left as it is when empty
};

struct MigrateReport {
  std::vector<std::string> applied;  // "common/0001_common.sql"
  std::vector<std::string> derived;  // what was changed, one statement each
};

// Errors: FAILED_PRECONDITION for files that were changed or come out of order, UNAVAILABLE when the database does not
// answer or a lock cannot be had, INVALID_ARGUMENT for SQL that it refuses. The text names the file.
absl::StatusOr<MigrateReport> Migrate(const MigrateOptions& options);

namespace migrate {

struct File {
  std::string set;  // "common" or "service"
  int version = 0;
  std::string name;  // "0001_common.sql"
  std::string sql;
  std::string checksum;  // SHA-256, hex
  bool transaction = true;
};

// Reads NNNN_name.sql of a folder, in order. Other names and double numbers are errors.
absl::StatusOr<std::vector<File>> ReadFiles(const std::string& set, const std::string& dir);

// Splits a script at the semicolons that end statements: not those in quotes, dollar quotes or comments.
std::vector<std::string> SplitStatements(const std::string& script);

}  // namespace migrate

}  // namespace crm::pg
