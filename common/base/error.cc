#include "common/base/error.h"

#include <absl/strings/cord.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <utility>

#include "google/rpc/error_details.pb.h"

namespace crm {
namespace errors {

// The payloads' keys are the type URLs of google.rpc.Status.details, so that common/rpc passes them on as they are.
constexpr char kDomain[] = "crm";
constexpr char kInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryUrl[] = "type.googleapis.com/google.rpc.RetryInfo";
// Only inside the process: CONFLICT heard from another service is an answer, not an invitation to run the handler
// again.
constexpr char kLostRaceMark[] = "crm/lost_race";
constexpr char kReasonPrefix[] = "ERROR_REASON_";

template <typename M>
std::optional<M> Payload(const absl::Status& status, const char* url) {
  auto cord = status.GetPayload(url);
  if (!cord) return std::nullopt;
  M message;
  if (!message.ParseFromString(std::string(*cord))) return std::nullopt;
  return message;
}

}  // namespace errors

std::string ReasonName(Reason reason) {
  const std::string& name = type::v1::ErrorReason_Name(reason);
  return std::string(absl::StripPrefix(name, errors::kReasonPrefix));
}

absl::Status Error(absl::StatusCode code, Reason reason, std::string text, Metadata metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(ReasonName(reason));
  info.set_domain(errors::kDomain);
  for (auto& [key, value] : metadata) (*info.mutable_metadata())[key] = std::move(value);
  absl::Status status(code, text);
  status.SetPayload(errors::kInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status FieldError(std::string field, std::string description) {
  std::vector<FieldViolation> violations;
  violations.push_back({std::move(field), std::move(description)});
  return FieldErrors(std::move(violations));
}

absl::Status FieldErrors(std::vector<FieldViolation> violations) {
  std::string text, fields;
  for (const auto& violation : violations) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", violation.field, ": ", violation.description);
    absl::StrAppend(&fields, fields.empty() ? "" : ",", violation.field);
  }
  auto status = Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_FIELD_INVALID, std::move(text),
                      {{"field", std::move(fields)}});
  for (auto& violation : violations) AddViolation(status, std::move(violation));
  return status;
}

absl::Status NotFound(absl::string_view id) {
  return Error(
      absl::StatusCode::kNotFound, type::v1::ERROR_REASON_RECORD_NOT_FOUND,
      absl::StrCat("There is no record ", id, ", or you may not see it. Check the id, and whether it was deleted."),
      {{"id", std::string(id)}});
}

absl::Status StateError(std::string text, Metadata metadata) {
  return Error(absl::StatusCode::kFailedPrecondition, type::v1::ERROR_REASON_STATE_INVALID, std::move(text),
               std::move(metadata));
}

absl::Status LostRace(absl::string_view id) {
  auto status = Error(absl::StatusCode::kAborted, type::v1::ERROR_REASON_CONFLICT,
                      absl::StrCat(id, " was being changed by someone else at the same time. Read it and try again."),
                      {{"id", std::string(id)}});
  status.SetPayload(errors::kLostRaceMark, absl::Cord(id));
  return status;
}

bool IsLostRace(const absl::Status& status) {
  return !status.ok() && status.GetPayload(errors::kLostRaceMark).has_value();
}

void AddViolation(absl::Status& status, FieldViolation violation) {
  if (status.ok()) return;
  auto bad =
      errors::Payload<google::rpc::BadRequest>(status, errors::kBadRequestUrl).value_or(google::rpc::BadRequest());
  auto* added = bad.add_field_violations();
  added->set_field(std::move(violation.field));
  added->set_description(std::move(violation.description));
  status.SetPayload(errors::kBadRequestUrl, absl::Cord(bad.SerializeAsString()));
}

void SetRetryDelay(absl::Status& status, std::chrono::milliseconds delay) {
  if (status.ok()) return;
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(delay.count() / 1000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay.count() % 1000) * 1'000'000);
  status.SetPayload(errors::kRetryUrl, absl::Cord(retry.SerializeAsString()));
}

Reason ReasonOf(const absl::Status& status) {
  auto info = errors::Payload<google::rpc::ErrorInfo>(status, errors::kInfoUrl);
  Reason reason = type::v1::ERROR_REASON_UNSPECIFIED;
  if (info) type::v1::ErrorReason_Parse(absl::StrCat(errors::kReasonPrefix, info->reason()), &reason);
  return reason;
}

Metadata MetadataOf(const absl::Status& status) {
  auto info = errors::Payload<google::rpc::ErrorInfo>(status, errors::kInfoUrl);
  if (!info) return {};
  return Metadata(info->metadata().begin(), info->metadata().end());
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  auto bad = errors::Payload<google::rpc::BadRequest>(status, errors::kBadRequestUrl);
  if (!bad) return violations;
  for (const auto& violation : bad->field_violations()) {
    violations.push_back({violation.field(), violation.description()});
  }
  return violations;
}

std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status) {
  auto retry = errors::Payload<google::rpc::RetryInfo>(status, errors::kRetryUrl);
  if (!retry) return std::nullopt;
  return std::chrono::seconds(retry->retry_delay().seconds()) +
         std::chrono::milliseconds(retry->retry_delay().nanos() / 1'000'000);
}

}  // namespace crm
