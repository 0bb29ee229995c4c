#include "services/gateway/http_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/error.h"

namespace crm::gateway {
namespace {

TEST(HttpErrorTest, EveryCodeHasItsStatus) {
  using absl::StatusCode;
  const std::map<StatusCode, unsigned> want = {
      {StatusCode::kCancelled, 499},          {StatusCode::kUnknown, 500},
      {StatusCode::kInvalidArgument, 400},    {StatusCode::kDeadlineExceeded, 504},
      {StatusCode::kNotFound, 404},           {StatusCode::kAlreadyExists, 409},
      {StatusCode::kPermissionDenied, 403},   {StatusCode::kResourceExhausted, 429},
      {StatusCode::kFailedPrecondition, 400}, {StatusCode::kAborted, 409},
      {StatusCode::kOutOfRange, 400},         {StatusCode::kUnimplemented, 501},
      {StatusCode::kInternal, 500},           {StatusCode::kUnavailable, 503},
      {StatusCode::kDataLoss, 500},           {StatusCode::kUnauthenticated, 401}};
  for (const auto& [code, status] : want) EXPECT_EQ(HttpStatus(absl::Status(code, "x")), status);
  EXPECT_EQ(HttpStatus(Error(StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE, "x")), 413u);
}

TEST(HttpErrorTest, BodyIsWhatAip193Says) {
  absl::Status status = FieldError("contact.phones[0].number", "must be \"E.164\"\n");
  SetRetryDelay(status, std::chrono::milliseconds(1500));
  HttpResponse response = ErrorResponse(status, "req_1");
  EXPECT_EQ(response.status, 400u);
  auto body = nlohmann::json::parse(response.body);
  auto& error = body["error"];
  EXPECT_EQ(error["code"], 400);
  EXPECT_EQ(error["status"], "INVALID_ARGUMENT");
  EXPECT_EQ(error["details"][0]["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_EQ(error["details"][0]["reason"], "FIELD_INVALID");
  EXPECT_EQ(error["details"][1]["field_violations"][0]["field"], "contact.phones[0].number");
  EXPECT_EQ(error["details"][1]["field_violations"][0]["description"], "must be \"E.164\"\n");
  EXPECT_EQ(error["details"][2]["retry_delay"], "1.5s");
  EXPECT_EQ(error["details"][3]["request_id"], "req_1");
  EXPECT_NE(std::find(response.headers.begin(), response.headers.end(),
                      std::pair<std::string, std::string>("Retry-After", "2")),
            response.headers.end());
}

TEST(HttpErrorTest, AnyBytesGiveJson) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  auto body = nlohmann::json::parse(
      ErrorJson(Error(absl::StatusCode::kNotFound, type::v1::ERROR_REASON_RECORD_NOT_FOUND, bytes, {{bytes, bytes}}),
                bytes),
      nullptr, false);
  EXPECT_FALSE(body.is_discarded());
}

TEST(HttpErrorTest, StatusWithoutReasonIsNamedByItsCode) {
  auto body = nlohmann::json::parse(ErrorJson(absl::InternalError("x"), ""));
  EXPECT_EQ(body["error"]["details"][0]["reason"], "INTERNAL");
  EXPECT_EQ(body["error"]["details"].size(), 1u);
}

}  // namespace
}  // namespace crm::gateway
