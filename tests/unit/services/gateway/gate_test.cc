// Which requests the gateway begins, which wait, which it refuses.
#include "services/gateway/gate.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace crm::gateway {
namespace {

using namespace std::chrono_literals;

class GateTest : public ::testing::Test {
 protected:
  struct One {
    std::string tenant;
    bool told = false;
    absl::Status status;
    Gate::Place place;
  };

  void Use(int in_flight_max) {
    gate_ = std::make_unique<Gate>(in_flight_max, std::vector<asio::any_io_executor>{loop_.get_executor()});
  }
  One& Ask(const std::string& tenant, const std::string& service = "contact",
           std::chrono::milliseconds patience = 60'000ms) {
    One& one = all_.emplace_back();
    one.tenant = tenant;
    asio::co_spawn(loop_, Enter(*gate_, one, service, std::chrono::steady_clock::now() + patience), asio::detached);
    Turn();
    return one;
  }
  static asio::awaitable<void> Enter(Gate& gate, One& one, std::string service, Gate::Time deadline) {
    Gate::Ask ask;
    ask.service = service;
    ask.kind = "Get";
    ask.deadline = deadline;
    auto line = [&one] { return one.tenant; };
    auto place = co_await gate.Enter(ask, line);
    one.told = true;
    one.status = place.status();
    if (place.ok()) {
      one.place = *std::move(place);
      one.place.Done();
    }
  }
  // Everything that is due now.
  void Turn() {
    loop_.restart();
    while (loop_.poll() > 0) {
    }
  }
  void End(One& one) {
    one.place = Gate::Place();
    Turn();
  }

  asio::io_context loop_{1};
  std::unique_ptr<Gate> gate_;
  std::list<One> all_;
};

TEST_F(GateTest, BeyondWhatMayBeUnderWayRequestsWaitForTheirTurnByTenant) {
  Use(1);
  One* under_way = &Ask("flood");
  EXPECT_TRUE(under_way->told && under_way->status.ok());
  std::list<One*> flood;
  for (int i = 0; i < 40; ++i) flood.push_back(&Ask("flood"));
  One& quiet = Ask("quiet");
  EXPECT_FALSE(flood.front()->told || quiet.told);
  // A line's turn is 2 ms of work; what takes no time counts as a tenth of one.
  int before = 0;
  for (; !quiet.told && !flood.empty(); ++before) {
    End(*under_way);
    if (quiet.told) break;
    under_way = flood.front();
    flood.pop_front();
    ASSERT_TRUE(under_way->told && under_way->status.ok());
  }
  EXPECT_TRUE(quiet.told && quiet.status.ok());
  EXPECT_LE(before, 20);
}

TEST_F(GateTest, AServiceThatHangsHoldsUpNoOther) {
  Use(1);
  One& hangs = Ask("a", "contact");
  EXPECT_TRUE(hangs.told);
  EXPECT_FALSE(Ask("a", "contact").told);
  EXPECT_TRUE(Ask("a", "deal_pipeline").told);
}

TEST_F(GateTest, WhatWaitsInVainIsRefusedWithTheTimeToComeBack) {
  Use(1);
  One& first = Ask("a");
  One& second = Ask("a");
  EXPECT_FALSE(second.told);
  const auto start = std::chrono::steady_clock::now();
  while (!second.told && std::chrono::steady_clock::now() < start + 20s) {
    loop_.restart();
    loop_.run_for(20ms);
  }
  ASSERT_TRUE(second.told);
  EXPECT_EQ(second.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(second.status), type::v1::ERROR_REASON_OVERLOADED);
  EXPECT_TRUE(RetryDelayOf(second.status).has_value());
  End(first);
  EXPECT_TRUE(Ask("a").status.ok());
}

TEST_F(GateTest, WhatHasNoTimeLeftIsNotTakenIn) {
  Use(1);
  One& first = Ask("a");
  One& late = Ask("a", "contact", -1ms);
  EXPECT_TRUE(late.told);
  EXPECT_EQ(ReasonOf(late.status), type::v1::ERROR_REASON_OVERLOADED);
  End(first);
}

TEST_F(GateTest, ThePauseBeforeARefusalEndsBeforeItsClientsPatience) {
  const auto now = std::chrono::steady_clock::now();
  EXPECT_EQ(Gate::PauseUntil(Gate::Time::max()), Gate::kPause);
  EXPECT_LT(Gate::PauseUntil(now + 500ms), 500ms);
  EXPECT_EQ(Gate::PauseUntil(now - 5s), 0ms);
}

}  // namespace
}  // namespace crm::gateway
