// Deadlines, cancelling, retries, drain.
#include <absl/strings/match.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <future>

#include "common/obs/metrics.h"
#include "tests/integration/rpc/echo.h"

namespace crm::testing {
namespace {

using Steady = std::chrono::steady_clock;

class TimeTest : public RpcTest {
 protected:
  static EchoRequest Slow(int ms) {
    EchoRequest request;
    request.set_sleep_ms(ms);
    return request;
  }
  // Starts a call and lets it run beside the test.
  std::shared_ptr<std::optional<absl::StatusOr<EchoReply>>> Begin(const Call& call, const std::string& method,
                                                                  const EchoRequest& request) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<EchoReply>>>();
    auto body = [](rpc::Client* client, Call call, std::string method, EchoRequest request,
                   std::shared_ptr<std::optional<absl::StatusOr<EchoReply>>> answer) -> asio::awaitable<void> {
      *answer = co_await client->Unary<EchoReply>(call, "crm.testing.v1.EchoService." + method, request);
    };
    asio::co_spawn(loop_.context(), body(client_.get(), call, method, request, answer), asio::detached);
    return answer;
  }
};

TEST_F(TimeTest, TheCallersDeadlineIsKept) {
  Start();
  Call call = UserCall();
  call.deadline = Steady::now() + std::chrono::milliseconds(300);
  const auto started = Steady::now();
  auto late = Ask(call, "Echo", Slow(3000));
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(late.status()), type::v1::ERROR_REASON_DEADLINE_EXCEEDED);
  EXPECT_LT(Steady::now() - started, std::chrono::milliseconds(2500));
  // The handler is not broken off.
  Eventually([&] { return echo_->finished == 1; });

  auto reply = Echo(call);  // the deadline is over: not even sent
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(echo_->runs, 1);
}

TEST_F(TimeTest, TheHandlerSeesWhatIsLeft) {
  Start();
  auto none = Echo(UserCall());
  ASSERT_TRUE(none.ok());
  EXPECT_GT(none->left_ms(), 9'000);
  EXPECT_LE(none->left_ms(), 10'100);
  Call call = UserCall();
  call.deadline = Steady::now() + std::chrono::hours(1);
  auto capped = Echo(call);
  ASSERT_TRUE(capped.ok());
  EXPECT_GT(capped->left_ms(), 29'000);
  EXPECT_LE(capped->left_ms(), 30'000);
  call.deadline = Steady::now() + std::chrono::seconds(3);
  auto own = Echo(call);
  ASSERT_TRUE(own.ok());
  EXPECT_LE(own->left_ms(), 3'100);  // gRPC rounds up what it sends
}

TEST_F(TimeTest, TheServerAnswersLateCallsItself) {
  auto options = Options();
  options.deadline_max = std::chrono::milliseconds(300);
  Start(options);
  LogLines log;
  const auto started = Steady::now();
  auto late = Ask(UserCall(), "Echo", Slow(3000));
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(Steady::now() - started, std::chrono::milliseconds(2500));
  EXPECT_EQ(echo_->finished, 0);
  EXPECT_EQ(server_->in_flight(), 1);  // its handler still needs its place
  Eventually([&] { return echo_->finished == 1; });
  Eventually([&] { return server_->in_flight() == 0; });
  EXPECT_EQ(log.With("request-1").size(), 1u);
}

TEST_F(TimeTest, ACancelledCallsHandlerGoesOn) {
  Start();
  asio::cancellation_signal cancel;
  std::optional<absl::StatusOr<std::string>> answer;
  rpc::RawCall call{"crm.testing.v1.EchoService.Echo", Slow(3000).SerializeAsString(), client_->MetadataOf(UserCall())};
  auto body = [](rpc::Client* client, rpc::RawCall call,
                 std::optional<absl::StatusOr<std::string>>* answer) -> asio::awaitable<void> {
    *answer = co_await client->UnaryRaw(std::move(call));
  };
  asio::co_spawn(loop_.context(), body(client_.get(), call, &answer),
                 asio::bind_cancellation_slot(cancel.slot(), asio::detached));
  Eventually([&] { return echo_->runs == 1; });
  const auto started = Steady::now();
  cancel.emit(asio::cancellation_type::terminal);
  Eventually([&] { return answer.has_value(); });
  EXPECT_EQ(answer->status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(Steady::now() - started, std::chrono::milliseconds(2500));
  Eventually([&] { return echo_->finished == 1; });
}

TEST_F(TimeTest, StreamsComeInOrderAndEndAsTheServerSays) {
  Start();
  WatchRequest request;
  request.set_messages(50);
  request.set_reply_bytes(10'000);
  for (const int code : {0, 9}) {
    request.set_code(code);
    std::vector<int> seen;
    absl::Status ended =
        loop_.Run(client_->StreamBytes(UserCall(), "crm.testing.v1.EchoService.Watch", request.SerializeAsString(),
                                       [&seen](std::string bytes) -> Async<> {
                                         EchoReply reply;
                                         reply.ParseFromString(bytes);
                                         seen.push_back(reply.runs());
                                         co_return absl::OkStatus();
                                       }));
    EXPECT_EQ(static_cast<int>(ended.code()), code) << ended;
    ASSERT_EQ(seen.size(), 50u);
    for (int i = 0; i < 50; ++i) EXPECT_EQ(seen[i], i);
  }
}

TEST_F(TimeTest, AStreamWithoutRightOrSenseIsRefused) {
  Start();
  auto refused = loop_.Run(client_->StreamBytes(AnonymousCall(), "crm.testing.v1.EchoService.Watch", "",
                                                [](std::string) -> Async<> { co_return absl::OkStatus(); }));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  auto unread = loop_.Run(client_->StreamBytes(UserCall(), "crm.testing.v1.EchoService.Watch", "\xff",
                                               [](std::string) -> Async<> { co_return absl::OkStatus(); }));
  EXPECT_EQ(unread.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(echo_->runs, 0);
}

TEST_F(TimeTest, AStreamEndsWhenItsReaderHasHadEnough) {
  Start();
  WatchRequest request;
  request.set_messages(1'000'000);
  request.set_sleep_ms(5);
  int seen = 0;
  absl::Status ended = loop_.Run(client_->StreamBytes(
      UserCall(), "crm.testing.v1.EchoService.Watch", request.SerializeAsString(),
      [&seen](std::string) -> Async<> { co_return ++seen < 3 ? absl::OkStatus() : absl::OutOfRangeError("enough"); }));
  EXPECT_EQ(ended.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(seen, 3);
  Eventually([&] { return echo_->told_gone == 1; });
}

TEST_F(TimeTest, AStreamEndsWhenItsReaderIsCancelledOrLate) {
  Start();
  WatchRequest request;
  request.set_messages(1'000'000);
  request.set_sleep_ms(20);
  asio::cancellation_signal cancel;
  std::optional<absl::Status> ended;
  rpc::RawCall call{"crm.testing.v1.EchoService.Watch", request.SerializeAsString(), client_->MetadataOf(UserCall())};
  auto body = [](rpc::Client* client, rpc::RawCall call, std::optional<absl::Status>* ended) -> asio::awaitable<void> {
    *ended = co_await client->StreamRaw(std::move(call), [](std::string) -> Async<> { co_return absl::OkStatus(); });
  };
  asio::co_spawn(loop_.context(), body(client_.get(), call, &ended),
                 asio::bind_cancellation_slot(cancel.slot(), asio::detached));
  Eventually([&] { return echo_->runs == 1; });
  loop_.RunFor(std::chrono::milliseconds(100));
  cancel.emit(asio::cancellation_type::terminal);
  Eventually([&] { return ended.has_value(); });
  EXPECT_EQ(ended->code(), absl::StatusCode::kCancelled);
  Eventually([&] { return echo_->told_gone == 1; });

  Call late = UserCall();
  late.deadline = Steady::now() + std::chrono::milliseconds(300);
  absl::Status over =
      loop_.Run(client_->StreamBytes(late, "crm.testing.v1.EchoService.Watch", request.SerializeAsString(),
                                     [](std::string) -> Async<> { co_return absl::OkStatus(); }));
  EXPECT_EQ(over.code(), absl::StatusCode::kDeadlineExceeded);
  Eventually([&] { return echo_->told_gone == 2; });
}

TEST_F(TimeTest, ASlowReaderSlowsTheStreamDown) {
  Start();
  WatchRequest request;
  request.set_messages(2000);
  request.set_reply_bytes(100'000);
  int seen = 0;
  int most_ahead = 0;
  absl::Status ended = loop_.Run(client_->StreamBytes(
      UserCall(), "crm.testing.v1.EchoService.Watch", request.SerializeAsString(), [&](std::string bytes) -> Async<> {
        EchoReply reply;
        reply.ParseFromString(bytes);
        if (seen == 0) {
          // The server goes on only as far as the windows reach: far from 200 MB.
          co_await Sleep(500);
        }
        most_ahead = std::max(most_ahead, static_cast<int>(echo_->finished));
        co_return ++seen < 5 ? absl::OkStatus() : absl::OutOfRangeError("enough");
      }));
  EXPECT_EQ(ended.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(most_ahead, 0);
  Eventually([&] { return echo_->told_gone == 1; });
}

TEST_F(TimeTest, OnlyWhatMayBeRepeatedIsRepeated) {
  Start();
  EchoRequest away;
  away.set_code(14);
  EXPECT_EQ(Ask(UserCall(), "Echo", away).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(echo_->runs, rpc::Client::kAttemptsMax);  // a read

  echo_->runs = 0;
  WriteRequest write;
  write.set_text("unavailable");
  EXPECT_EQ(Ask(UserCall(), "Write", write).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(echo_->runs, 1);

  echo_->runs = 0;
  write.set_request_id("key-1");
  EXPECT_EQ(Ask(UserCall(), "Write", write).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(echo_->runs, rpc::Client::kAttemptsMax);

  echo_->runs = 0;
  EXPECT_EQ(ReasonOf(Echo(UserCall(), "overloaded").status()), type::v1::ERROR_REASON_OVERLOADED);
  EXPECT_EQ(echo_->runs, 1);

  echo_->runs = 0;
  EXPECT_FALSE(Echo(UserCall(), "violations").ok());
  EXPECT_EQ(echo_->runs, 1);
}

TEST_F(TimeTest, RetriesHaveABudget) {
  Start();
  EchoRequest away;
  away.set_code(14);
  for (int i = 0; i < 30; ++i) {
    Call call = UserCall();
    call.deadline = Steady::now() + std::chrono::milliseconds(90);  // no time for pauses: the budget alone counts
    Ask(call, "Echo", away).IgnoreError();
  }
  echo_->runs = 0;
  EXPECT_FALSE(Ask(UserCall(), "Echo", away).ok());
  EXPECT_EQ(echo_->runs, 1);
}

TEST_F(TimeTest, ARestartedServerIsFoundAgain) {
  auto options = Options();
  Start(options);
  ASSERT_TRUE(Echo(UserCall()).ok());
  options.listen = "127.0.0.1:" + std::to_string(server_->port());
  options.health_listen.clear();
  server_->Drain(std::chrono::seconds(1));
  server_.reset();
  const auto started = Steady::now();
  auto away = Ask(UserCall(), "Write", WriteRequest());
  EXPECT_EQ(away.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(away.status()), type::v1::ERROR_REASON_UNAVAILABLE);
  EXPECT_EQ(MetadataOf(away.status())["service"], "echo");
  EXPECT_LT(Steady::now() - started, std::chrono::seconds(3));

  server_ = std::make_unique<rpc::Server>(options, std::vector<asio::any_io_executor>{server_loop_.get_executor()},
                                          *authenticator_);
  auto service = std::make_unique<EchoService>();
  echo_ = service.get();
  server_->Add(std::move(service));
  ASSERT_TRUE(server_->Start().ok());
  Eventually([&] { return Echo(UserCall()).ok(); });
  EXPECT_LT(Steady::now() - started, std::chrono::seconds(6));
}

TEST_F(TimeTest, DrainAnswersWhatItAccepted) {
  Start();
  // Callers that go on as fast as they can; each answer is complete, until there is nobody to answer.
  struct Tally {
    int ok = 0, refused = 0, other = 0;
    bool stop = false;
    int running = 0;
  } tally;
  auto caller = [](rpc::Client* client, Call call, Tally* tally) -> asio::awaitable<void> {
    ++tally->running;
    WriteRequest request;
    while (!tally->stop) {
      auto answer = co_await client->Unary<EchoReply>(call, "crm.testing.v1.EchoService.Write", request);
      if (answer.ok()) {
        ++tally->ok;
      } else if (absl::IsUnavailable(answer.status())) {
        ++tally->refused;
        co_await Sleep(5);
      } else {
        ++tally->other;
        ADD_FAILURE() << answer.status();
      }
    }
    --tally->running;
  };
  for (int i = 0; i < 16; ++i)
    asio::co_spawn(loop_.context(), caller(client_.get(), UserCall(), &tally), asio::detached);
  auto slow = Begin(UserCall(), "Echo", Slow(800));
  WatchRequest watch;
  watch.set_messages(1'000'000);
  watch.set_sleep_ms(10);
  std::optional<absl::Status> stream_ended;
  auto watcher = [](rpc::Client* client, Call call, std::string request,
                    std::optional<absl::Status>* ended) -> asio::awaitable<void> {
    *ended = co_await client->StreamBytes(call, "crm.testing.v1.EchoService.Watch", request,
                                          [](std::string) -> Async<> { co_return absl::OkStatus(); });
  };
  asio::co_spawn(loop_.context(), watcher(client_.get(), UserCall(), watch.SerializeAsString(), &stream_ended),
                 asio::detached);
  Eventually([&] { return tally.ok > 200; });

  const auto started = Steady::now();
  auto drained = std::async(std::launch::async, [&] { server_->Drain(std::chrono::seconds(10)); });
  Eventually([&] { return drained.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  EXPECT_LT(Steady::now() - started, std::chrono::seconds(5));
  // Accepted before: answered. The server is gone, and nothing runs in it any more.
  Eventually([&] { return slow->has_value() && stream_ended.has_value(); });
  EXPECT_TRUE((*slow)->ok()) << (*slow)->status();
  EXPECT_EQ(stream_ended->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_->in_flight(), 0);
  Eventually([&] { return tally.refused > 0; });
  tally.stop = true;
  Eventually([&] { return tally.running == 0; });
  EXPECT_EQ(tally.other, 0);
  // Every write that the handler did was answered: none was cut off.
  EXPECT_EQ(echo_->runs, tally.ok + 2);
}

TEST_F(TimeTest, CallsAreCounted) {
  Start();
  ASSERT_TRUE(Echo(UserCall()).ok());
  Echo(AnonymousCall()).IgnoreError();
  const std::string text = obs::Exposition();
  EXPECT_TRUE(absl::StrContains(text, "crm_rpc_requests_total{code=\"OK\",rpc=\"crm.testing.v1.EchoService.Echo\"}"))
      << text;
  EXPECT_TRUE(absl::StrContains(
      text, "crm_rpc_requests_total{code=\"UNAUTHENTICATED\",rpc=\"crm.testing.v1.EchoService.Echo\"}"));
  EXPECT_TRUE(absl::StrContains(text, "crm_rpc_seconds_count{rpc=\"crm.testing.v1.EchoService.Echo\"}"));
  EXPECT_FALSE(absl::StrContains(text, "tenant_"));
}

}  // namespace
}  // namespace crm::testing
