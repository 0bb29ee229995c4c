// The one place where PostgreSQL's errors become ours.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <string>

namespace crm::pg {

// What the server said about a statement that it refused.
struct ServerError {
  std::string sqlstate;    // five characters; empty if the connection broke
  std::string message;     // the server's own words; for the log, never for callers
  std::string constraint;  // of a violated constraint
  std::string table;
  std::string column;
};

// SQLSTATE that guard() raises: a guarded statement changed no row (common/pg/migrations/0001_common.sql).
inline constexpr char kGuardState[] = "CRM01";
// The idempotency table's primary key: its violation means that the key has been used.
inline constexpr char kIdempotencyConstraint[] = "idempotency_pkey";

// The error for the caller. `statement` is the failing statement's name, `guarded_record` the record of a guarded one.
// A unique violation carries the constraint's name in metadata `constraint`; never a SQLSTATE, never SQL or values.
absl::Status Translate(const ServerError& error, absl::string_view statement, absl::string_view guarded_record);

// True when the connection's prepared statements no longer fit the schema, or the server has become read-only: the
// batch was undone for certain and a fresh connection will do it.
bool NeedsNewConnection(const ServerError& error);

}  // namespace crm::pg
