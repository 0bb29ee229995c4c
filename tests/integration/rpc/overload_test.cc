// More calls than can be served; servers that leave while others stay.
#include <absl/strings/match.h>

#include <future>

#include "common/obs/metrics.h"
#include "tests/integration/rpc/echo.h"

namespace crm::testing {
namespace {

using Steady = std::chrono::steady_clock;

class OverloadTest : public RpcTest {
 protected:
  using Answer = std::shared_ptr<std::optional<absl::StatusOr<EchoReply>>>;

  static EchoRequest Slow(int ms) {
    EchoRequest request;
    request.set_sleep_ms(ms);
    return request;
  }
  Answer Begin(const Call& call, const EchoRequest& request, rpc::Client* client = nullptr) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<EchoReply>>>();
    auto body = [](rpc::Client* client, Call call, EchoRequest request, Answer answer) -> asio::awaitable<void> {
      *answer = co_await client->Unary<EchoReply>(call, "crm.testing.v1.EchoService.Echo", request);
    };
    asio::co_spawn(loop_.context(), body(client != nullptr ? client : client_.get(), call, request, answer),
                   asio::detached);
    return answer;
  }
  // As the gateway asks for users; other services are not held up.
  void StartForUsers(rpc::ServerOptions options) {
    Start(options);
    certificates_->Make("gateway", "gateway");
    client_ = NewClient("gateway");
  }
  Call CallOf(const std::string& tenant) {
    rpc::Claims claims = claims_;
    claims.tenant = tenant;
    Call call = UserCall();
    call.token = signer_->Sign(claims);
    return call;
  }
  static bool IsOverloaded(const absl::Status& status) {
    return status.code() == absl::StatusCode::kUnavailable && ReasonOf(status) == type::v1::ERROR_REASON_OVERLOADED &&
           RetryDelayOf(status).has_value();
  }
  bool Ended(const std::vector<Answer>& answers) {
    return std::all_of(answers.begin(), answers.end(), [](const Answer& one) { return one->has_value(); });
  }
};

TEST_F(OverloadTest, WhatCannotBeServedSoonIsRefused) {
  auto options = Options();
  options.in_flight_max = 3;
  StartForUsers(options);
  std::vector<Answer> slow;
  for (int i = 0; i < 3; ++i) slow.push_back(Begin(UserCall(), Slow(3000)));
  Eventually([&] { return echo_->runs == 3; });
  const auto started = Steady::now();
  auto refused = Echo(UserCall());
  EXPECT_TRUE(IsOverloaded(refused.status())) << refused.status();
  EXPECT_LT(Steady::now() - started, std::chrono::milliseconds(2500));
  EXPECT_EQ(echo_->runs, 3);
  Eventually([&] { return Ended(slow); });
  for (const auto& answer : slow) EXPECT_TRUE((*answer)->ok());
  Eventually([&] { return server_->in_flight() == 0; });
  EXPECT_TRUE(Echo(UserCall()).ok());
}

TEST_F(OverloadTest, WhatIsServedSoonWaitsForIt) {
  auto options = Options();
  options.in_flight_max = 1;
  StartForUsers(options);
  std::vector<Answer> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(Begin(UserCall(), Slow(5)));
  Eventually([&] { return Ended(answers); });
  for (const auto& answer : answers) EXPECT_TRUE((*answer)->ok()) << (*answer)->status();
  EXPECT_TRUE(absl::StrContains(obs::Exposition(), "crm_rpc_wait_seconds_count"));
}

TEST_F(OverloadTest, AFloodIsItsTenantsOwnTrouble) {
  auto options = Options();
  options.in_flight_max = 4;
  StartForUsers(options);
  const Call flood = CallOf(claims_.tenant), quiet = CallOf(NewId("tenant", absl::Now()));
  ASSERT_TRUE(Echo(flood).ok());
  ASSERT_TRUE(Echo(quiet).ok());
  // 4 at 20 ms are 200 a second, and 600 come at once.
  std::vector<Answer> many;
  for (int i = 0; i < 600; ++i) many.push_back(Begin(flood, Slow(20)));
  Eventually([&] { return echo_->runs > 20; });
  LogLines log;
  for (int i = 0; i < 10; ++i) {
    auto served = Ask(quiet, "Echo", Slow(20));
    EXPECT_TRUE(served.ok()) << served.status();
  }
  Eventually([&] { return Ended(many); });
  int ok = 0;
  for (const auto& answer : many) {
    ok += (*answer)->ok() ? 1 : 0;
    EXPECT_TRUE((*answer)->ok() || IsOverloaded((*answer)->status())) << (*answer)->status();
  }
  EXPECT_GT(ok, 10);
  EXPECT_LT(ok, 500);
  EXPECT_EQ(echo_->runs, ok + 12);  // what was refused was not begun
  Eventually([&] { return !log.With("calls were refused").empty(); });
  EXPECT_TRUE(absl::StrContains(obs::Exposition(), "crm_rpc_shed_total{why=\"queue slow\"}"));
  Eventually([&] { return server_->in_flight() == 0; });
}

TEST_F(OverloadTest, WhatWouldBeLateIsNotBegun) {
  auto options = Options();
  options.in_flight_max = 1;
  StartForUsers(options);
  ASSERT_TRUE(Ask(UserCall(), "Echo", Slow(100)).ok());  // now it is known what this takes
  auto first = Begin(UserCall(), Slow(200));
  Eventually([&] { return echo_->runs == 2; });
  Call hurried = UserCall();
  hurried.deadline = Steady::now() + std::chrono::milliseconds(60);
  auto refused = Ask(hurried, "Echo", Slow(100));
  EXPECT_FALSE(refused.ok());
  Eventually([&] { return first->has_value(); });
  EXPECT_EQ(echo_->runs, 2);
}

// Thousands of calls that run out of time are broken off on one connection, which others share.
TEST_F(OverloadTest, ManyWhoGiveUpBreakNoConnection) {
  auto options = Options();
  options.in_flight_max = 4000;
  StartForUsers(options);
  ASSERT_TRUE(Echo(UserCall()).ok());
  auto patient = Begin(UserCall(), Slow(4000));
  Call hurried = UserCall();
  std::vector<Answer> many;
  for (int i = 0; i < 3000; ++i) {
    hurried.deadline = Steady::now() + std::chrono::milliseconds(300);
    many.push_back(Begin(hurried, Slow(3000)));
  }
  Eventually([&] { return Ended(many); });
  for (const auto& answer : many) {
    ASSERT_EQ((*answer)->status().code(), absl::StatusCode::kDeadlineExceeded) << (*answer)->status();
  }
  Eventually([&] { return patient->has_value(); });
  EXPECT_TRUE((*patient)->ok()) << (*patient)->status();
}

TEST_F(OverloadTest, ServicesDoNotWaitForUsers) {
  auto options = Options();
  options.in_flight_max = 1;
  StartForUsers(options);
  auto users = Begin(UserCall(), Slow(1500));
  Eventually([&] { return echo_->runs == 1; });
  // On behalf of a user whose call the other service has admitted.
  auto service = NewClient("contact");
  auto inner = Begin(UserCall(), Slow(0), service.get());
  Eventually([&] { return inner->has_value(); });
  EXPECT_TRUE((*inner)->ok()) << (*inner)->status();
  EXPECT_FALSE(users->has_value());
  Eventually([&] { return users->has_value(); });
}

// Two servers behind one client, stopped and started by turns under load: no call fails, whether it may be repeated or not,
// and none is done twice.
TEST_F(OverloadTest, ServersComeAndGoUnnoticed) {
  Start();
  struct Replica {
    int port = 0;
    std::unique_ptr<rpc::Server> server;
    EchoService* echo = nullptr;
  };
  int runs = 0;
  const auto start = [&](Replica& replica) {
    auto options = Options();
    options.listen = "127.0.0.1:" + std::to_string(replica.port);
    options.health_listen.clear();
    replica.server = std::make_unique<rpc::Server>(
        options, std::vector<asio::any_io_executor>{server_loop_.get_executor()}, *authenticator_);
    auto service = std::make_unique<EchoService>();
    replica.echo = service.get();
    replica.server->Add(std::move(service));
    const absl::Status started = replica.server->Start();
    ASSERT_TRUE(started.ok()) << started;
    replica.port = replica.server->port();
  };
  const auto stop = [&](Replica& replica) {
    auto drained = std::async(std::launch::async, [&] { replica.server->Drain(std::chrono::seconds(10)); });
    Eventually([&] { return drained.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    EXPECT_EQ(replica.server->in_flight(), 0);
    runs += replica.echo->runs;
    replica.server.reset();
  };
  Replica replicas[2];
  for (auto& replica : replicas) start(replica);

  rpc::ClientOptions options;
  for (const auto& replica : replicas) {
    options.address += (options.address.empty() ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(replica.port);
  }
  options.ca_file = certificates_->Pem("ca");
  options.cert_file = certificates_->Pem("contact");
  options.key_file = certificates_->Key("contact");
  options.peer = "echo";
  client_ = std::make_unique<rpc::Client>(options);

  struct Tally {
    int ok = 0, running = 0;
    bool stop = false;
  } tally;
  // Writes without a key: what is sent again has certainly not been begun.
  auto caller = [](rpc::Client* client, Call call, Tally* tally) -> asio::awaitable<void> {
    ++tally->running;
    while (!tally->stop) {
      auto answer = co_await client->Unary<EchoReply>(call, "crm.testing.v1.EchoService.Write", WriteRequest());
      if (answer.ok()) {
        ++tally->ok;
      } else {
        ADD_FAILURE() << answer.status();
        tally->stop = true;
      }
    }
    --tally->running;
  };
  for (int i = 0; i < 16; ++i)
    asio::co_spawn(loop_.context(), caller(client_.get(), UserCall(), &tally), asio::detached);
  for (int round = 0; round < 10 && !tally.stop; ++round) {
    Replica& replica = replicas[round % 2];
    // Both serve.
    Eventually([&] { return tally.stop || (replicas[0].echo->runs > 50 && replicas[1].echo->runs > 50); });
    stop(replica);
    const int before = tally.ok;
    Eventually([&] { return tally.stop || tally.ok > before + 50; });
    start(replica);
  }
  tally.stop = true;
  Eventually([&] { return tally.running == 0; });
  for (auto& replica : replicas) stop(replica);
  EXPECT_EQ(runs, tally.ok);
}

}  // namespace
}  // namespace crm::testing
