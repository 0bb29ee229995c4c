// Who begins, who waits, who is refused: with a clock and calls of the test's own.
#include "common/rpc/admission.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace crm::rpc {
namespace {

using namespace std::chrono_literals;
using Duration = Admission::Duration;
using Time = Admission::Time;
using Why = Admission::Why;

// A server of so many workers, each call taking what it says, by a virtual clock.
class AdmissionTest : public ::testing::Test {
 protected:
  struct One final : Admission::Waiter {
    AdmissionTest* test = nullptr;
    std::string tenant;
    Duration takes{0};
    Time asked, deadline;
    bool left = false;
    void Begin(Duration waited) override {
      test->waits[tenant].push_back(waited);
      test->Began(*this);
    }
    void Refuse(Why why) override { ++test->refused[tenant][why]; }
    bool gone() const override { return left; }
  };

  void Use(Admission::Limits limits) { admission_ = std::make_unique<Admission>(limits); }

  // The call, if it waits.
  std::shared_ptr<One> Ask(const std::string& tenant, Duration takes, Duration patience = 10s, size_t bytes = 0) {
    auto one = std::make_shared<One>();
    one->test = this;
    one->tenant = tenant;
    one->takes = takes;
    one->asked = now;
    one->deadline = now + patience;
    if (admission_->Begin()) {
      Began(*one);
      return nullptr;
    }
    const Admission::Ask ask{one->deadline, takes, bytes};
    Why why = Why::kDeadline;
    if (!admission_->MayWait(tenant, ask, now, why)) {
      ++refused[tenant][why];
      return nullptr;
    }
    admission_->Wait(tenant, ask, now, one);
    return one;
  }
  void Began(const One& one) {
    ++begun[one.tenant];
    worked[one.tenant] += one.takes;
    if (now + one.takes > one.deadline) ++late[one.tenant];
    ends_.emplace(now + one.takes, one.tenant);
  }
  // Lets time pass, ending what ends in it.
  void Pass(Duration time) {
    const Time until = now + time;
    while (!ends_.empty() && ends_.begin()->first <= until) {
      now = ends_.begin()->first;
      ends_.erase(ends_.begin());
      if (admission_->End()) admission_->Pump(now);
    }
    now = until;
    if (now - swept_ >= 50ms) {
      swept_ = now;
      admission_->Expire(now);
    }
  }
  int Refused(const std::string& tenant) {
    int all = 0;
    for (const auto& [why, count] : refused[tenant]) all += count;
    return all;
  }

  Time now = Time() + 1h;
  std::map<std::string, int> begun, late;
  std::map<std::string, Duration> worked;
  std::map<std::string, std::map<Why, int>> refused;
  std::map<std::string, std::vector<Duration>> waits;
  std::unique_ptr<Admission> admission_;
  std::multimap<Time, std::string> ends_;
  Time swept_ = now;
};

TEST_F(AdmissionTest, WhatFitsBeginsAtOnce) {
  Use({.in_flight_max = 3});
  for (int i = 0; i < 3; ++i) Ask("a", 10ms);
  EXPECT_EQ(begun["a"], 3);
  EXPECT_NE(Ask("a", 10ms), nullptr);
  EXPECT_EQ(admission_->waiting(), 1);
  Pass(10ms);
  EXPECT_EQ(begun["a"], 4);
  EXPECT_EQ(waits["a"], std::vector<Duration>{10ms});
  EXPECT_EQ(admission_->waiting(), 0);
  EXPECT_EQ(admission_->in_flight(), 1);
}

TEST_F(AdmissionTest, NobodyOvertakesWhoWaits) {
  Use({.in_flight_max = 1});
  Ask("a", 10ms);
  Ask("a", 10ms);
  ends_.clear();
  EXPECT_TRUE(admission_->End());  // a place is free, and somebody waits for it
  EXPECT_NE(Ask("b", 10ms), nullptr);
  admission_->Pump(now);
  EXPECT_EQ(begun["a"], 2);
  EXPECT_EQ(begun["b"], 0);
}

// One tenant asks for ten times what can be done, nine ask for half of their share.
TEST_F(AdmissionTest, AFloodHarmsNobodyElse) {
  Use({.in_flight_max = 8});
  std::mt19937_64 random{7};
  // 8 workers at 4 ms: 2,000 a second. The quiet ones ask for 100 a second each.
  for (int tick = 0; tick < 20'000; ++tick) {
    for (int i = 0; i < 10; ++i) Ask("flood", 4ms);
    for (int quiet = 0; quiet < 9; ++quiet) {
      if (random() % 20 == 0) Ask("quiet" + std::to_string(quiet), 4ms);
    }
    Pass(500us);
  }
  int asked = 0, all = 0;
  for (int quiet = 0; quiet < 9; ++quiet) {
    const std::string name = "quiet" + std::to_string(quiet);
    EXPECT_EQ(Refused(name), 0) << name;
    asked += begun[name];
    for (const Duration waited : waits[name]) EXPECT_LT(waited, 40ms) << name;
  }
  EXPECT_GT(asked, 8'000);
  for (const auto& [name, count] : begun) all += count;
  EXPECT_GT(all, 19'900);  // nothing that could be done is left undone
  EXPECT_GT(begun["flood"], 10'000);
  EXPECT_EQ(late["flood"], 0);
  for (const Duration waited : waits["flood"]) EXPECT_LE(waited, 300ms);
  // Most are refused on arrival, not after having waited.
  EXPECT_LT(refused["flood"][Why::kQueueFull], Refused("flood") / 10);
}

TEST_F(AdmissionTest, SharesAreOfTime) {
  Use({.in_flight_max = 4});
  for (int tick = 0; tick < 10'000; ++tick) {
    Ask("cheap", 1ms);
    Ask("cheap", 1ms);
    Ask("cheap", 1ms);
    Ask("dear", 10ms);
    Ask("dear", 10ms);
    Pass(1ms);
  }
  const double ratio = std::chrono::duration<double>(worked["cheap"]) / std::chrono::duration<double>(worked["dear"]);
  EXPECT_GT(ratio, 0.8);
  EXPECT_LT(ratio, 1.25);
}

TEST_F(AdmissionTest, WhatWouldBeLateIsNotBegun) {
  Use({.in_flight_max = 1});
  Ask("a", 100ms);
  EXPECT_EQ(Ask("a", 20ms, 10ms), nullptr);  // would take longer than it has
  EXPECT_EQ(refused["a"][Why::kDeadline], 1);
  EXPECT_NE(Ask("a", 20ms, 60ms), nullptr);   // will have waited too long when its turn comes
  EXPECT_NE(Ask("b", 20ms, 200ms), nullptr);  // can be done
  Pass(100ms);
  EXPECT_EQ(refused["a"][Why::kDeadline], 2);
  EXPECT_EQ(begun["a"], 1);
  EXPECT_EQ(begun["b"], 1);
  EXPECT_EQ(late["b"], 0);
}

TEST_F(AdmissionTest, NobodyWaitsForLong) {
  Use({.in_flight_max = 1});
  Ask("a", 10s);
  auto waits_in_vain = Ask("a", 1ms);
  Pass(240ms);
  EXPECT_EQ(Refused("a"), 0);
  Pass(100ms);
  EXPECT_EQ(refused["a"][Why::kQueueSlow], 1);
  EXPECT_EQ(admission_->waiting(), 0);
}

TEST_F(AdmissionTest, AFullHouseTurnsOutItsNoisiestGuest) {
  Use({.in_flight_max = 1, .waiting_max = 10});
  Ask("flood", 1s);
  for (int i = 0; i < 10; ++i) EXPECT_NE(Ask("flood", 1ms), nullptr);
  EXPECT_EQ(Ask("flood", 1ms), nullptr);
  EXPECT_EQ(refused["flood"][Why::kQueueFull], 1);
  for (int i = 0; i < 5; ++i) EXPECT_NE(Ask("quiet", 1ms), nullptr);
  EXPECT_EQ(refused["flood"][Why::kQueueFull], 6);
  EXPECT_EQ(Ask("quiet", 1ms), nullptr);  // they are as many now
  EXPECT_EQ(admission_->waiting(), 10);
  EXPECT_EQ(admission_->longest(), "flood");
}

TEST_F(AdmissionTest, WaitingRequestsAreBoundedInBytes) {
  Use({.in_flight_max = 1, .waiting_bytes_max = 1000});
  Ask("a", 1s);
  EXPECT_NE(Ask("a", 1ms, 10s, 600), nullptr);
  EXPECT_EQ(Ask("a", 1ms, 10s, 600), nullptr);
  EXPECT_NE(Ask("a", 1ms, 10s, 400), nullptr);
  EXPECT_EQ(Ask("b", 1ms, 10s, 2000), nullptr);  // does not fit alone: nobody is turned out for it
  EXPECT_EQ(admission_->waiting(), 2);
  EXPECT_NE(Ask("b", 1ms, 10s, 900), nullptr);
  EXPECT_EQ(admission_->waiting(), 1);
}

TEST_F(AdmissionTest, WhoHasLeftIsPassedOver) {
  Use({.in_flight_max = 1});
  Ask("a", 10ms);
  auto first = Ask("a", 10ms);
  auto second = Ask("a", 10ms);
  first->left = true;
  Pass(10ms);
  EXPECT_EQ(begun["a"], 2);
  EXPECT_EQ(Refused("a"), 0);
  EXPECT_EQ(admission_->waiting(), 0);
}

TEST_F(AdmissionTest, AStandstillIsForgottenSoon) {
  Use({.in_flight_max = 2});
  for (int i = 0; i < 2; ++i) Ask("a", 5s);
  for (int i = 0; i < 400; ++i) {
    Ask("a", 1ms, 1s);
    Pass(10ms);
  }
  Pass(2s);
  const int before = begun["a"];
  for (int i = 0; i < 2'000; ++i) {
    Ask("a", 1ms, 1s);
    Ask("a", 1ms, 1s);
    Pass(1ms);
  }
  EXPECT_GT(begun["a"] - before, 3'900);
}

}  // namespace
}  // namespace crm::rpc
