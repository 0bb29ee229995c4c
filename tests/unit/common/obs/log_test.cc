#include "common/obs/log.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <limits>
#include <sstream>
#include <thread>
#include <vector>

#include "common/json/json.h"

namespace crm::obs {
namespace {

google::protobuf::Struct Parsed(const std::string& line) {
  google::protobuf::Struct out;
  const absl::Status status = json::Read(line, out);
  EXPECT_TRUE(status.ok()) << status << " in " << line;
  return out;
}

std::vector<std::string> Lines(std::function<void()> body, Level level = Level::kDebug) {
  std::vector<std::string> lines;
  CaptureLog([&](absl::string_view line) { lines.emplace_back(line); }, level);
  body();
  CaptureLog(nullptr);
  return lines;
}

TEST(LogTest, OneLineOfJsonPerEvent) {
  Call call;
  call.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  call.method = "crm.contact.v1.ContactService.GetContact";
  call.request_id = "r-1";
  call.principal.tenant = *Uuid::Parse("01890a5d-ac96-774b-bcce-b302099a8057");
  auto lines = Lines([&] {
    Log(Level::kInfo, call, "a \"quoted\"\nline",
        {{"text", "x\ty"}, {"count", 42}, {"share", 0.25}, {"yes", true}, {"size", sizeof(int)}});
    Log(Level::kWarning, "no call");
  });
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].find('\n'), std::string::npos);
  auto first = Parsed(lines[0]).fields();
  EXPECT_EQ(first["level"].string_value(), "info");
  EXPECT_EQ(first["msg"].string_value(), "a \"quoted\"\nline");
  EXPECT_EQ(first["trace_id"].string_value(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(first["span_id"].string_value(), "b7ad6b7169203331");
  EXPECT_EQ(first["rpc"].string_value(), "crm.contact.v1.ContactService.GetContact");
  EXPECT_EQ(first["tenant"].string_value(), "tenant_01h455vb4pex5vsknk084sn02q");
  EXPECT_EQ(first["request_id"].string_value(), "r-1");
  EXPECT_EQ(first["text"].string_value(), "x\ty");
  EXPECT_EQ(first["count"].number_value(), 42);
  EXPECT_EQ(first["share"].number_value(), 0.25);
  EXPECT_TRUE(first["yes"].bool_value());
  const std::string ts = first["ts"].string_value();
  ASSERT_EQ(ts.size(), 27u) << ts;
  EXPECT_EQ(ts.back(), 'Z');
  absl::Time time;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, ts, &time, &error)) << error;
  EXPECT_LT(absl::AbsDuration(absl::Now() - time), absl::Minutes(1));
  EXPECT_FALSE(Parsed(lines[1]).fields().contains("trace_id"));
}

TEST(LogTest, WhateverIsLoggedStaysJsonOnOneLine) {
  std::vector<std::string> texts = {std::string("\0\x01\x1f\x7f", 4),
                                    "\xff\xfe",
                                    "\xc3",
                                    "\xc3(",
                                    "\xe2\x82",
                                    "\xed\xa0\x80",
                                    "\xf4\x90\x80\x80",
                                    "\xc0\x80",
                                    "\xe0\x80\x80",
                                    "\xf0\x80\x80\x80",
                                    "\r\n\"},{\"level\":\"error\"",
                                    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
                                    "\xf0\x9f\x98\x80",
                                    std::string(100'000, '\\')};
  for (int seed = 0; seed < 200; ++seed) {
    std::string text;
    uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 1;
    for (int i = 0; i < 40; ++i) {
      state = state * 1664525u + 1013904223u;
      text += static_cast<char>(state >> 24);
    }
    texts.push_back(text);
  }
  for (const auto& text : texts) {
    auto lines = Lines([&] { Log(Level::kError, text, {{"field", text}}); });
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].find('\n'), std::string::npos);
    EXPECT_LT(lines[0].size(), 60'000u);  // no line grows without bound
    // A NUL is JSON, but no message of ours: the reader is asked without it.
    if (text.find('\0') == std::string::npos) Parsed(lines[0]);
  }
  auto kept = Lines([] { Log(Level::kError, "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xf0\x9f\x98\x80 \xff"); });
  EXPECT_NE(kept[0].find("\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xf0\x9f\x98\x80 \xef\xbf\xbd"), std::string::npos)
      << kept[0];
}

TEST(LogTest, LevelsAreKept) {
  auto lines = Lines(
      [] {
        Log(Level::kDebug, "debug");
        Log(Level::kInfo, "info");
        Log(Level::kWarning, "warning");
        EXPECT_FALSE(Enabled(Level::kInfo));
      },
      Level::kWarning);
  ASSERT_EQ(lines.size(), 1u);
  Level level;
  EXPECT_TRUE(ParseLevel("", &level) && level == Level::kInfo);
  EXPECT_TRUE(ParseLevel("error", &level) && level == Level::kError);
  EXPECT_FALSE(ParseLevel("verbose", &level));
}

// The writer is the process's own: a child has one of its own and the test reads what comes out.
std::string OutputOf(std::function<void()> body, bool slow_reader = false) {
  int pipes[2];
  EXPECT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], STDOUT_FILENO);
    close(pipes[0]);
    close(pipes[1]);
    body();
    exit(0);
  }
  close(pipes[1]);
  if (slow_reader) std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::string out;
  char buffer[65536];
  for (ssize_t n; (n = read(pipes[0], buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return out;
}

int Count(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(LogTest, EveryLineOfEveryThreadComesOutByTheEnd) {
  const std::string out = OutputOf([] {
    StartLog("test", Level::kInfo);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 500; ++i) Log(Level::kInfo, "line", {{"thread", t}, {"i", i}});
      });
    }
    for (auto& thread : threads) thread.join();
    StopLog();
    Log(Level::kInfo, "after the end");
  });
  EXPECT_EQ(Count(out, "\"msg\":\"line\""), 2000);
  EXPECT_EQ(Count(out, "after the end"), 1);
  EXPECT_EQ(Count(out, "\"svc\":\"test\""), 2001);
  std::istringstream lines(out);
  int n = 0;
  for (std::string line; std::getline(lines, line) && n < 200; ++n) Parsed(line);
}

TEST(LogTest, ALineComesOutSoonWithoutBeingAskedFor) {
  const std::string out = OutputOf([] {
    StartLog("test", Level::kInfo);
    Log(Level::kInfo, "soon");
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    _exit(0);  // neither StopLog nor exit handlers
  });
  EXPECT_EQ(Count(out, "soon"), 1);
}

TEST(LogTest, WhatDoesNotFitIsDroppedAndCounted) {
  const std::string out = OutputOf(
      [] {
        StartLog("test", Level::kInfo);
        const std::string text(2000, 'x');
        // Nobody reads meanwhile: the pipe holds 64 KiB and the buffer a mebibyte.
        for (int i = 0; i < 5000; ++i) Log(Level::kInfo, text);
        if (DroppedLines() == 0) _exit(1);
        while (true) {
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          static uint64_t before = 0;
          if (DroppedLines() == before) break;
          before = DroppedLines();
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
      },
      true);
  EXPECT_GT(Count(out, "xxxx\""), 100);
  EXPECT_LT(Count(out, "xxxx\""), 5000);
  EXPECT_GE(Count(out, "log lines were dropped"), 1);
}

}  // namespace
}  // namespace crm::obs
