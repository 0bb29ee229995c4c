// Errors as AIP-193 wants them: a canonical code, a machine-readable reason with metadata, field violations, and a text
// that says what happened and what to do next. They travel as payloads of absl::Status; common/rpc puts them on the wire.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crm/type/v1/error_reason.pb.h"

namespace crm {

using Reason = type::v1::ErrorReason;
using Metadata = std::map<std::string, std::string>;

struct FieldViolation {
  std::string field;        // path in the request, snake_case: "contact.phones[0].number"
  std::string description;  // what is wrong and what would be right
};

// An error with its reason. Every changing part of the text also stands in the metadata.
absl::Status Error(absl::StatusCode code, Reason reason, std::string text, Metadata metadata = {});

// INVALID_ARGUMENT about one field, or several.
absl::Status FieldError(std::string field, std::string description);
absl::Status FieldErrors(std::vector<FieldViolation> violations);

// NOT_FOUND; the same for a record of another tenant and for one that the caller may not read.
absl::Status NotFound(absl::string_view id);

// FAILED_PRECONDITION because of the record's state.
absl::Status StateError(std::string text, Metadata metadata = {});

// A lost race: the rpc adapter runs the handler again (up to 3 times) unless the request carried an etag.
absl::Status LostRace(absl::string_view id);
bool IsLostRace(const absl::Status& status);

// Adds violations or a retry delay to an error.
void AddViolation(absl::Status& status, FieldViolation violation);
void SetRetryDelay(absl::Status& status, std::chrono::milliseconds delay);

// What an error carries.
Reason ReasonOf(const absl::Status& status);
Metadata MetadataOf(const absl::Status& status);
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);
std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status);

// "FIELD_INVALID": the name of a reason as it travels.
std::string ReasonName(Reason reason);

}  // namespace crm
