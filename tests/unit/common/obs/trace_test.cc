#include "common/obs/trace.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace crm::obs {
namespace {

constexpr char kGood[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceTest, ReadsWhatTheSpecificationAllows) {
  auto parsed = ParseTraceparent(kGood);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(parsed->span_id, "b7ad6b7169203331");
  EXPECT_EQ(parsed->flags, 1);
  EXPECT_EQ(parsed->ToString(), kGood);
  EXPECT_EQ(ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe")->flags, 0xfe);
  // A later version is read by its first four parts.
  EXPECT_TRUE(ParseTraceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").has_value());
  EXPECT_TRUE(ParseTraceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes").has_value());
}

// The cases of W3C's own validation suite (w3c/trace-context, test/test.py), for one header.
TEST(TraceTest, RefusesEverythingElse) {
  const std::vector<std::string> bad = {
      "",
      "00",
      std::string(kGood) + "-",
      std::string(kGood) + "-what",
      std::string(kGood) + ".",
      std::string(" ") + kGood,
      std::string(kGood) + " ",
      "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      ".0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
      "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01what",
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
      "00-.af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-.7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-.0",
      "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c0-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
      "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
      std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033\0001-01", 55),
  };
  for (const auto& text : bad) EXPECT_FALSE(ParseTraceparent(text).has_value()) << text;
}

TEST(TraceTest, AChildKeepsTheTraceAndGetsASpan) {
  const std::string child = ChildTraceparent(kGood);
  auto parsed = ParseTraceparent(child);
  ASSERT_TRUE(parsed.has_value()) << child;
  EXPECT_EQ(parsed->trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_NE(parsed->span_id, "b7ad6b7169203331");
  EXPECT_EQ(TraceIdOf(child), parsed->trace_id);
  EXPECT_EQ(SpanIdOf(child), parsed->span_id);
  EXPECT_EQ(ParseTraceparent(ChildTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"))->flags, 0);
  EXPECT_TRUE(ParseTraceparent(ChildTraceparent("nonsense")).has_value());
  EXPECT_EQ(TraceIdOf(""), "");
}

TEST(TraceTest, NewTracesDiffer) {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::thread> threads;
  for (auto& mine : made) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 1000; ++i) mine.push_back(NewTraceparent());
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::string> traces;
  for (const auto& mine : made) {
    for (const auto& text : mine) {
      auto parsed = ParseTraceparent(text);
      ASSERT_TRUE(parsed.has_value()) << text;
      EXPECT_TRUE(traces.insert(parsed->trace_id).second);
    }
  }
}

}  // namespace
}  // namespace crm::obs
