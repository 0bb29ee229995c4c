#include "common/pg/errors.h"

#include <absl/strings/str_cat.h>

#include "common/base/error.h"

namespace crm::pg {
namespace sqlstate {

// Five characters as one number, so that a switch can be made over them.
constexpr uint64_t Code(absl::string_view text) {
  uint64_t code = 0;
  for (size_t i = 0; i < 5 && i < text.size(); ++i) code = code << 8 | static_cast<unsigned char>(text[i]);
  return code;
}

absl::Status Invalid(std::string text, Metadata metadata) {
  return Error(absl::StatusCode::kInvalidArgument, Reason::ERROR_REASON_FIELD_INVALID, std::move(text),
               std::move(metadata));
}

absl::Status Internal() {
  return Error(absl::StatusCode::kInternal, Reason::ERROR_REASON_INTERNAL,
               "the database refused a statement of ours; quote the request id when you report it");
}

absl::Status Unavailable() {
  absl::Status status = Error(absl::StatusCode::kUnavailable, Reason::ERROR_REASON_UNAVAILABLE,
                              "the database is not ready; send the request again with the same idempotency key");
  SetRetryDelay(status, std::chrono::milliseconds(500));
  return status;
}

}  // namespace sqlstate

absl::Status Translate(const ServerError& error, absl::string_view statement, absl::string_view guarded_record) {
  using sqlstate::Code;
  Metadata metadata;
  if (!error.constraint.empty()) metadata["constraint"] = error.constraint;
  if (!error.column.empty()) metadata["column"] = error.column;
  switch (Code(error.sqlstate)) {
    case Code({kGuardState, sizeof kGuardState - 1}):
    case Code("40001"):  // serialization_failure
    case Code("40P01"):  // deadlock_detected
    case Code("55P03"):  // lock_not_available, also lock_timeout
      return LostRace(guarded_record);

    case Code("23505"):  // unique_violation
    case Code("23P01"):  // exclusion_violation
      return Error(absl::StatusCode::kAlreadyExists, Reason::ERROR_REASON_ALREADY_EXISTS,
                   absl::StrCat("another record already has this value (", error.constraint,
                                "); change the value or use that record"),
                   std::move(metadata));
    case Code("23503"):  // foreign_key_violation
      return sqlstate::Invalid(
          absl::StrCat("a record that this one refers to does not exist, or is still referred to (", error.constraint,
                       "); name one that exists"),
          std::move(metadata));
    case Code("23502"):  // not_null_violation
      return sqlstate::Invalid(absl::StrCat("the field ", error.column, " must have a value"), std::move(metadata));
    case Code("23514"):  // check_violation
      return sqlstate::Invalid(
          absl::StrCat("a value breaks the rule ", error.constraint, "; choose one that it allows"),
          std::move(metadata));
    case Code("22P02"):  // invalid_text_representation
      // This is what a policy or view says when no tenant is set: the handler's fault, not the caller's.
      if (error.message == "invalid input syntax for type uuid: \"\"") return sqlstate::Internal();
      [[fallthrough]];
    case Code("22001"):  // string_data_right_truncation
    case Code("22003"):  // numeric_value_out_of_range
    case Code("22007"):  // invalid_datetime_format
    case Code("22008"):  // datetime_field_overflow
    case Code("22012"):  // division_by_zero
    case Code("22021"):  // character_not_in_repertoire
    case Code("22023"):  // invalid_parameter_value
    case Code("22P03"):  // invalid_binary_representation
    case Code("22P05"):  // untranslatable_character
    case Code("2201B"):  // invalid_regular_expression
    case Code("54000"):  // program_limit_exceeded: an index row that is too large
      return sqlstate::Invalid("a value cannot be stored: it is too long, out of range or badly formed; correct it",
                               std::move(metadata));

    case Code("57014"):  // query_canceled: statement_timeout, since we never cancel
      return Error(absl::StatusCode::kDeadlineExceeded, Reason::ERROR_REASON_QUERY_TOO_SLOW,
                   "the database did not finish in the time given; narrow the request or allow it more time",
                   {{"statement", std::string(statement)}});

    case Code("53000"):  // insufficient_resources
    case Code("53100"):  // disk_full
    case Code("53200"):  // out_of_memory
    case Code("53300"):  // too_many_connections
    case Code("57P01"):  // admin_shutdown
    case Code("57P02"):  // crash_shutdown
    case Code("57P03"):  // cannot_connect_now
    case Code("57P05"):  // idle_session_timeout
    case Code("25P03"):  // idle_in_transaction_session_timeout
    case Code("08000"):  // connection_exception
    case Code("08003"):  // connection_does_not_exist
    case Code("08006"):  // connection_failure
    case Code("25006"):  // read_only_sql_transaction: the server has been demoted
    case Code("26000"):  // invalid_sql_statement_name
      return sqlstate::Unavailable();
    default:
      // A statement that PostgreSQL cannot run, a missing right, a missing tenant: ours to mend.
      if (NeedsNewConnection(error)) return sqlstate::Unavailable();
      return sqlstate::Internal();
  }
}

bool NeedsNewConnection(const ServerError& error) {
  // 0A000 with this text is how PostgreSQL says that a migration changed a prepared statement's columns.
  if (error.sqlstate == "0A000") return error.message.find("cached plan") != std::string::npos;
  return error.sqlstate == "26000" || error.sqlstate == "25006";
}

}  // namespace crm::pg
