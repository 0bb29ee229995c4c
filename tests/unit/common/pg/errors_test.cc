#include "common/pg/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/error.h"

namespace crm::pg {
namespace {

absl::Status OfState(const std::string& state) {
  return Translate(ServerError{state, "secret message", "thing_key", "thing", "name"}, "thing.add", "thing_1");
}

TEST(PgErrors, EachStateHasItsCode) {
  EXPECT_TRUE(IsLostRace(OfState("CRM01")));
  EXPECT_TRUE(IsLostRace(OfState("40001")));
  EXPECT_TRUE(IsLostRace(OfState("40P01")));
  EXPECT_TRUE(IsLostRace(OfState("55P03")));
  EXPECT_EQ(OfState("23505").code(), absl::StatusCode::kAlreadyExists);
  for (const char* state : {"23503", "23502", "23514", "22001", "22003", "22P02", "22021"}) {
    EXPECT_EQ(OfState(state).code(), absl::StatusCode::kInvalidArgument) << state;
  }
  EXPECT_EQ(OfState("57014").code(), absl::StatusCode::kDeadlineExceeded);
  for (const char* state : {"57P01", "57P03", "53300", "08006", "25006", "26000"}) {
    EXPECT_EQ(OfState(state).code(), absl::StatusCode::kUnavailable) << state;
    EXPECT_TRUE(RetryDelayOf(OfState(state)).has_value()) << state;
  }
  for (const char* state : {"42P01", "42703", "42501", "0A000", "XX000", ""}) {
    EXPECT_EQ(OfState(state).code(), absl::StatusCode::kInternal) << state;
  }
}

TEST(PgErrors, TellNeitherStateNorServersWords) {
  for (const char* state : {"CRM01", "23505", "23503", "23502", "23514", "22001", "57014", "57P01", "42P01"}) {
    absl::Status status = OfState(state);
    EXPECT_THAT(std::string(status.message()), ::testing::Not(::testing::HasSubstr(state)));
    EXPECT_THAT(status.ToString(), ::testing::Not(::testing::HasSubstr("secret message"))) << state;
  }
  EXPECT_EQ(MetadataOf(OfState("23505"))["constraint"], "thing_key");
}

TEST(PgErrors, ANewConnectionHelpsAgainstStalePlansAndDemotedServers) {
  EXPECT_TRUE(NeedsNewConnection(ServerError{"0A000", "cached plan must not change result type"}));
  EXPECT_FALSE(NeedsNewConnection(ServerError{"0A000", "window functions are not supported here"}));
  EXPECT_TRUE(NeedsNewConnection(ServerError{"25006", "cannot execute INSERT in a read-only transaction"}));
  EXPECT_TRUE(NeedsNewConnection(ServerError{"26000", "prepared statement does not exist"}));
  EXPECT_FALSE(NeedsNewConnection(ServerError{"23505", ""}));
}

}  // namespace
}  // namespace crm::pg
