#include "common/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "google/rpc/error_details.pb.h"

namespace crm {
namespace {

using ::testing::HasSubstr;

TEST(ErrorTest, CarriesReasonAndMetadata) {
  auto status =
      Error(absl::StatusCode::kAborted, type::v1::ERROR_REASON_ETAG_MISMATCH, "It has changed.", {{"etag", "7"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "It has changed.");
  EXPECT_EQ(ReasonOf(status), type::v1::ERROR_REASON_ETAG_MISMATCH);
  EXPECT_EQ(MetadataOf(status), (Metadata{{"etag", "7"}}));
  EXPECT_TRUE(ViolationsOf(status).empty());
  EXPECT_FALSE(RetryDelayOf(status).has_value());
  EXPECT_FALSE(IsLostRace(status));
}

TEST(ErrorTest, PayloadsAreGoogleRpcDetails) {
  auto status = FieldError("contact.email", "has no @");
  auto payload = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  ASSERT_TRUE(payload.has_value());
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(std::string(*payload)));
  EXPECT_EQ(info.reason(), "FIELD_INVALID");
  EXPECT_EQ(info.domain(), "crm");
  EXPECT_TRUE(status.GetPayload("type.googleapis.com/google.rpc.BadRequest").has_value());
}

TEST(ErrorTest, FieldErrorsKeepEveryViolationInOrder) {
  auto status = FieldErrors({{"a", "is empty"}, {"b[1].c", "is 300 characters long; at most 200 fit"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "a: is empty; b[1].c: is 300 characters long; at most 200 fit");
  auto violations = ViolationsOf(status);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[1].field, "b[1].c");
  AddViolation(status, {"d", "too"});
  EXPECT_EQ(ViolationsOf(status).size(), 3u);
  EXPECT_EQ(ReasonOf(status), type::v1::ERROR_REASON_FIELD_INVALID);
}

TEST(ErrorTest, OthersHaveTheirCodes) {
  EXPECT_EQ(NotFound("deal_1").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(NotFound("deal_1")), type::v1::ERROR_REASON_RECORD_NOT_FOUND);
  EXPECT_EQ(StateError("won").code(), absl::StatusCode::kFailedPrecondition);
  auto lost = LostRace("deal_1");
  EXPECT_TRUE(IsLostRace(lost));
  EXPECT_EQ(lost.code(), absl::StatusCode::kAborted);
  // What another service answers after three lost races is not one of ours.
  EXPECT_FALSE(IsLostRace(Error(absl::StatusCode::kAborted, type::v1::ERROR_REASON_CONFLICT, "lost")));
  EXPECT_FALSE(IsLostRace(absl::OkStatus()));
}

TEST(ErrorTest, RetryDelay) {
  auto status = Error(absl::StatusCode::kResourceExhausted, type::v1::ERROR_REASON_RATE_LIMITED, "Slow down.");
  SetRetryDelay(status, std::chrono::milliseconds(1'250));
  EXPECT_EQ(RetryDelayOf(status), std::chrono::milliseconds(1'250));
}

TEST(ErrorTest, EveryReasonHasAName) {
  const auto* reasons = type::v1::ErrorReason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    const auto reason = static_cast<Reason>(reasons->value(i)->number());
    EXPECT_EQ("ERROR_REASON_" + ReasonName(reason), reasons->value(i)->name());
    EXPECT_EQ(ReasonOf(Error(absl::StatusCode::kInternal, reason, "")), reason);
  }
}

TEST(ErrorTest, AnOkStatusStaysOk) {
  absl::Status ok;
  AddViolation(ok, {"a", "b"});
  SetRetryDelay(ok, std::chrono::seconds(1));
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(ReasonOf(ok), type::v1::ERROR_REASON_UNSPECIFIED);
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}
absl::StatusOr<int> Quarter(int n) {
  CRM_TRY(const int half, Half(n));
  CRM_TRY(Half(half).status());
  CRM_TRY(int quarter, Half(half));
  return quarter;
}

TEST(StatusMacrosTest, ReturnEarly) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(5).status().message(), "odd");
}

}  // namespace
}  // namespace crm
