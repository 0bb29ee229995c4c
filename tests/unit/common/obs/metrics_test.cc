#include "common/obs/metrics.h"

#include <absl/strings/match.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace crm::obs {
namespace {

TEST(MetricsTest, TheSameNameAndLabelsAreOneMetric) {
  Counter one = MakeCounter("test_calls_total", "Calls", {{"rpc", "a"}});
  Counter same = MakeCounter("test_calls_total", "Calls", {{"rpc", "a"}});
  Counter other = MakeCounter("test_calls_total", "Calls", {{"rpc", "b"}});
  one.Add();
  same.Add(2);
  EXPECT_EQ(one.value(), 3);
  EXPECT_EQ(other.value(), 0);
}

TEST(MetricsTest, ThreadsAddUp) {
  const Counter counter = MakeCounter("test_threads_total", "Threads");
  const Gauge gauge = MakeGauge("test_threads", "Threads");
  const Histogram histogram = MakeHistogram("test_threads_seconds", "Threads");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        counter.Add();
        gauge.Add(i % 2 == 0 ? 1 : -1);
        histogram.Observe(0.003);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 20'000);
  EXPECT_EQ(gauge.value(), 0);
  EXPECT_TRUE(absl::StrContains(Exposition(), "test_threads_seconds_count 20000"));
}

TEST(MetricsTest, IsReadableForPrometheus) {
  MakeGauge("test_age_seconds", "Age of the oldest").Set(1.5);
  const Histogram histogram = MakeHistogram("test_time_seconds", "Times", {{"rpc", "x"}}, {0.1, 1});
  histogram.Observe(0.05);
  histogram.Observe(std::chrono::milliseconds(500));
  histogram.Observe(7);
  static int asked = 0;  // the update outlives the test
  BeforeExposition([] { ++asked; });
  const std::string text = Exposition();
  EXPECT_EQ(asked, 1);
  for (const char* line :
       {"# HELP test_age_seconds Age of the oldest\n", "# TYPE test_age_seconds gauge\n", "test_age_seconds 1.5\n",
        "test_time_seconds_bucket{rpc=\"x\",le=\"0.1\"} 1\n", "test_time_seconds_bucket{rpc=\"x\",le=\"1\"} 2\n",
        "test_time_seconds_bucket{rpc=\"x\",le=\"+Inf\"} 3\n", "test_time_seconds_count{rpc=\"x\"} 3\n",
        "process_resident_memory_bytes "}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << " in\n" << text;
  }
}

}  // namespace
}  // namespace crm::obs
