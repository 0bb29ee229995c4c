#include "services/gateway/static_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace crm::gateway {
namespace {

namespace fs = std::filesystem;

class StaticFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) / ("static_files_test." + std::to_string(::getpid()));
    Write("first/index.html", "first");
    Write("first/lang/en.js", "one");
    Write("second/index.html", "second");
    Write("second/vendor/chart.css", "two");
    Write("second/notes", "without a type");
    Write("second/empty/keep.txt", "");
    Write("outside.txt", "secret");
    fs::create_symlink(root_ / "outside.txt", root_ / "first/link.txt");
    *folders_.Add() = root_ / "absent";
    *folders_.Add() = root_ / "first";
    *folders_.Add() = root_ / "second";
  }
  void TearDown() override { fs::remove_all(root_); }
  void Write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::string Body(const std::string& path) {
    auto response = ServeStatic(folders_, path);
    return response.ok() ? response->body : response.status().code() == absl::StatusCode::kNotFound ? "404" : "other";
  }

  fs::path root_;
  Folders folders_;
};

TEST_F(StaticFilesTest, TheFirstFolderThatHasAFileCounts) {
  EXPECT_EQ(Body("/"), "first");
  EXPECT_EQ(Body("/index.html"), "first");
  EXPECT_EQ(Body("/lang/en.js"), "one");
  EXPECT_EQ(Body("/lang/%65n.js"), "one");
  EXPECT_EQ(Body("/vendor/chart.css"), "two");
}

TEST_F(StaticFilesTest, NothingElseIsServed) {
  for (const char* path :
       {"", "x", "/absent.js", "/lang", "/lang/", "/vendor", "/notes", "/empty/", "/link.txt", "/../outside.txt",
        "/lang/../../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "//etc/hostname", "/index.html/"}) {
    EXPECT_EQ(Body(path), "404") << path;
  }
  for (const char* path : {"/%zz", "/lang/en.js%00"}) EXPECT_FALSE(ServeStatic(folders_, path).ok()) << path;
  EXPECT_EQ(ServeStatic({}, "/").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StaticFilesTest, TypeAndPolicy) {
  auto response = ServeStatic(folders_, "/lang/en.js");
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->content_type, "text/javascript; charset=utf-8");
  std::string policy;
  for (const auto& [name, value] : response->headers) {
    if (name == "Content-Security-Policy") policy = value;
  }
  EXPECT_NE(policy.find("default-src 'none'; script-src 'self'; style-src 'self'"), std::string::npos) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
}

}  // namespace
}  // namespace crm::gateway
