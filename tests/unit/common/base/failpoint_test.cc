#include "common/base/failpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#ifdef CRM_FAILPOINTS

namespace crm {
namespace {

using std::chrono::steady_clock;
using ::testing::HasSubstr;

absl::Status Commit() {
  CRM_FAILPOINT("test.before_commit");
  CRM_FAILPOINT_RETURN("test.commit");
  return absl::OkStatus();
}

class FailpointTest : public ::testing::Test {
 protected:
  FailpointTest() : path_(std::filesystem::temp_directory_path() / ("failpoints." + std::to_string(getpid()))) {}
  ~FailpointTest() override {
    EXPECT_TRUE(failpoint::UseFile("").ok());
    std::filesystem::remove(path_);
  }
  // As a test harness does it: written aside, then moved, so that nobody reads half of it.
  void Write(const std::string& text) {
    const std::string aside = path_.string() + ".new";
    std::ofstream(aside) << text;
    std::filesystem::rename(aside, path_);
  }
  void Arm(const std::string& text) {
    Write(text);
    const auto status = failpoint::UseFile(path_);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::filesystem::path path_;
};

TEST_F(FailpointTest, DoesNothingUnarmed) {
  EXPECT_TRUE(Commit().ok());
  Arm("# nothing\n\nother=error\n");
  EXPECT_TRUE(Commit().ok());
}

TEST_F(FailpointTest, ErrorReturnsFromReturnFormsOnly) {
  Arm("test.before_commit=error\n");
  EXPECT_TRUE(Commit().ok());
  Arm(" test.commit = error # always\n");
  EXPECT_EQ(Commit().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Commit().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FailpointTest, OnlyTheNthHit) {
  Arm("test.commit=error*3\n");
  EXPECT_TRUE(Commit().ok());
  EXPECT_TRUE(Commit().ok());
  EXPECT_FALSE(Commit().ok());
  EXPECT_TRUE(Commit().ok());
}

TEST_F(FailpointTest, OnlyOnBehalfOfOne) {
  Arm("test.of=error*2@crm.v1.Create\n");
  auto hit = [](const std::string& of) -> absl::Status {
    CRM_FAILPOINT_RETURN_(return, "test.of", of);
    return absl::OkStatus();
  };
  EXPECT_TRUE(hit("crm.v1.Create").ok());
  EXPECT_TRUE(hit("crm.v1.Delete").ok());
  EXPECT_FALSE(hit("crm.v1.Create").ok());
  EXPECT_TRUE(hit("crm.v1.Create").ok());
}

TEST_F(FailpointTest, Delays) {
  Arm("test.before_commit=delay:60*1\n");
  const auto start = steady_clock::now();
  EXPECT_TRUE(Commit().ok());
  EXPECT_GE(steady_clock::now() - start, std::chrono::milliseconds(60));
}

TEST_F(FailpointTest, AChangedFileIsHeard) {
  Arm("");
  EXPECT_TRUE(Commit().ok());
  Write("test.commit=error\n");
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  while (Commit().ok()) ASSERT_LT(steady_clock::now(), deadline);
  std::filesystem::remove(path_);
  while (!Commit().ok()) ASSERT_LT(steady_clock::now(), deadline);
}

TEST_F(FailpointTest, KillsItself) {
  EXPECT_EXIT(
      {
        Write("test.before_commit=kill*2\n");
        if (!failpoint::UseFile(path_).ok()) _exit(1);
        if (!Commit().ok()) _exit(2);
        Commit().IgnoreError();
        _exit(3);
      },
      ::testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FailpointTest, CountsWhatWasReached) {
  Arm("x=error\n");
  const int64_t before = failpoint::Hits()["test.commit"];
  EXPECT_TRUE(Commit().ok());
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(failpoint::Hits()["test.commit"], before + 2);
  EXPECT_FALSE(failpoint::Hits().contains("test.never_reached"));
}

TEST_F(FailpointTest, ABadLineIsNamed) {
  for (const char* line : {"test.commit", "test.commit=explode", "=kill", "a=delay", "a=delay:-1", "a=kill*0",
                           "a=kill*x", "a=delay:x", "a=kill@"}) {
    Write(std::string("# one\n") + line + "\n");
    EXPECT_THAT(std::string(failpoint::UseFile(path_).message()), HasSubstr("line 2")) << line;
  }
}

}  // namespace
}  // namespace crm

#endif
