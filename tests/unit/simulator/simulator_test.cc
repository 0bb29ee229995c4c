// Thousands of worlds in one process: relays, consumers, timers and senders of letters and webhooks as they are, over a modelled PostgreSQL and Redis, under a scheduler and a
// clock that follow from a seed. CRM_SEED=3366 repeats one and tells its story; CRM_LONG=1 makes five times as many.
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/base/sanitized.h"
#include "common/obs/log.h"
#include "tests/unit/simulator/world.h"

namespace crm::sim {
namespace {

constexpr uint64_t kSeeds = kSanitized ? 500 : 5000;  // sanitizers: some ten times as slow

using Make = std::unique_ptr<World> (*)(uint64_t seed, const std::string& planted);

class SimulatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // What goes wrong on purpose is not worth a line, unless one world's story is asked for.
    if (std::getenv("CRM_SEED") == nullptr) obs::CaptureLog([](absl::string_view) {}, obs::Level::kError);
  }

  // CRM_SEED repeats one world.
  static void RunWorlds(Make make, const char* name, uint64_t count) {
    uint64_t first = 1;
    if (const char* seed = std::getenv("CRM_SEED")) {
      first = std::strtoull(seed, nullptr, 10);
      count = 1;
    } else if (const char* longer = std::getenv("CRM_LONG"); longer != nullptr && *longer != '\0') {
      count *= 5;
    }
    const double begin = CpuSeconds();
    int failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 5; ++seed) {
      const Outcome outcome = RunWorld([&] { return make(seed, ""); });
      if (outcome.failures.empty()) continue;
      ++failed;
      std::string all;
      for (const std::string& failure : outcome.failures) absl::StrAppend(&all, "\n  ", failure);
      ADD_FAILURE() << name << ", CRM_SEED=" << seed << ":" << all;
    }
    std::printf("[ figure   ] %s: %llu seeds in %.1f s of one core\n", name, static_cast<unsigned long long>(count),
                CpuSeconds() - begin);
    for (const auto& [what, times] : TheTally().counts) {
      std::printf("[ figure   ]   %-28s %lld\n", what.c_str(), static_cast<long long>(times));
    }
    TheTally().counts.clear();
  }

  // A fault that is put in is found.
  static void ExpectFound(Make make, const std::string& planted, uint64_t within) {
    for (uint64_t seed = 1; seed <= within; ++seed) {
      const Outcome outcome = RunWorld([&] { return make(seed, planted); });
      if (outcome.failures.empty()) continue;
      std::printf("[ figure   ] \"%s\" is found by seed %llu: %s\n", planted.c_str(),
                  static_cast<unsigned long long>(seed), outcome.failures.front().c_str());
      return;
    }
    ADD_FAILURE() << "nobody noticed within " << within << " seeds: " << planted;
  }
};

TEST_F(SimulatorTest, Events) { RunWorlds(MakeEventsWorld, "events", kSeeds); }

TEST_F(SimulatorTest, Timers) { RunWorlds(MakeTimersWorld, "timers", kSeeds); }

// Fewer: claims last for minutes, so these worlds live longer.
TEST_F(SimulatorTest, Sends) { RunWorlds(MakeSendsWorld, "sends", kSeeds * 3 / 5); }

TEST_F(SimulatorTest, Webhooks) { RunWorlds(MakeWebhooksWorld, "webhooks", kSeeds * 3 / 5); }

TEST_F(SimulatorTest, FindsWhatIsPlanted) {
  if (std::getenv("CRM_SEED") != nullptr) GTEST_SKIP();
  for (const char* planted : {"lane not locked", "position not guarded", "attempts not counted",
                              "parked without asking", "heads forgotten"}) {
    ExpectFound(MakeEventsWorld, planted, 1000);
  }
  for (const char* planted : {"fence not checked", "fence not raised", "fence begins anew", "claim deletes"}) {
    ExpectFound(MakeTimersWorld, planted, 5000);
  }
  for (const char* planted : {"claim without lease", "claim beyond its limit", "mark not kept", "doubts forgotten",
                              "recipients kept", "anybody's secret"}) {
    ExpectFound(MakeSendsWorld, planted, 2000);
  }
  for (const char* planted : {"claim without lease", "claim beyond its limit", "anybody's secret",
                              "settled without the fence", "everybody's taken back"}) {
    ExpectFound(MakeWebhooksWorld, planted, 2000);
  }
}

TEST_F(SimulatorTest, RepeatsAWorld) {
  if (std::getenv("CRM_SEED") != nullptr) GTEST_SKIP();
  for (const Make make : {MakeEventsWorld, MakeSendsWorld, MakeWebhooksWorld}) {
    std::vector<uint64_t> traces;
    for (uint64_t seed = 1; seed <= 20; ++seed) traces.push_back(RunWorld([&] { return make(seed, ""); }).trace);
    for (uint64_t seed = 20; seed >= 1; --seed) {
      EXPECT_EQ(RunWorld([&] { return make(seed, ""); }).trace, traces[seed - 1]) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace crm::sim
