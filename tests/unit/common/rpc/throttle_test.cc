// What a client does not send: with a clock and a server of the test's own.
#include "common/rpc/throttle.h"

#include <gtest/gtest.h>

namespace crm::rpc {
namespace {

using namespace std::chrono_literals;

class ThrottleTest : public ::testing::Test {
 protected:
  // Asks every millisecond for so long, of a server that takes `taken` of what reaches it, in turn; what was sent.
  int Ask(const Uuid& who, std::chrono::milliseconds time, double taken) {
    int sent = 0;
    double due = 0;
    for (auto end = now + time; now < end; now += 1ms) {
      if (throttle.Refuses(who, now)) continue;
      ++sent;
      due += taken;
      throttle.Sent(who, /*refused=*/due < 1, now);
      if (due >= 1) due -= 1;
    }
    return sent;
  }

  Throttle throttle;
  Throttle::Time now = Throttle::Time() + 1h;
  const Uuid flood = NewUuid(absl::FromUnixSeconds(1)), quiet = NewUuid(absl::FromUnixSeconds(2));
};

TEST_F(ThrottleTest, WhoIsNotRefusedIsNeverHeldBack) {
  EXPECT_EQ(Ask(quiet, 3s, 1), 3000);
  throttle.Sent(flood, /*refused=*/true, now);
  EXPECT_EQ(Ask(quiet, 3s, 1), 3000);
}

TEST_F(ThrottleTest, AFewRefusalsHoldNobodyBack) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(throttle.Refuses(quiet, now));
    throttle.Sent(quiet, /*refused=*/true, now);
  }
}

TEST_F(ThrottleTest, ASeverlyRefusedTenantSendsLittleAndComesBackQuickly) {
  Ask(flood, 5s, 0);
  const int probes = Ask(flood, 10s, 0);
  EXPECT_GE(probes, 3);  // it still asks whether it may again
  EXPECT_LE(probes, 60);
  Ask(flood, 12s, 1);
  EXPECT_GE(Ask(flood, 2s, 1), 1900);
}

TEST_F(ThrottleTest, OfAFloodAboutTwiceAsManyAreSentAsAreTaken) {
  // Of what reaches it the server takes half, and less than that was not asked for: an equilibrium from either side.
  Ask(flood, 5s, 0.3);
  const int sent = Ask(flood, 5s, 0.3);
  EXPECT_LT(sent, 1500);  // fewer each second, as fewer than half are taken
  // Nearly all are taken: nearly all are sent.
  Ask(flood, 20s, 0.9);
  EXPECT_GT(Ask(flood, 5s, 0.9), 4900);
}

TEST_F(ThrottleTest, WhatIsLongAgoIsForgotten) {
  Ask(flood, 5s, 0);
  now += 11s;
  EXPECT_FALSE(throttle.Refuses(flood, now));
}

}  // namespace
}  // namespace crm::rpc
