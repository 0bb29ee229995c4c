// A whole process by app::Main: the test starts itself as one, with an identity that the test plays.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <sstream>

#include "common/app/app.h"
#include "common/base/sanitized.h"
#include "common/base/time.h"
#include "common/json/json.h"
#include "crm/identity/v1/time.pb.h"
#include "tests/integration/rpc/echo.h"

namespace crm::app {
namespace {

using testing::EchoReply;
using testing::EchoRequest;
using Steady = std::chrono::steady_clock;

// ---- the process under test ----

int Serve(int argc, char** argv) {
  return Main(argc, argv, "echo", [](Runtime& runtime) {
    const std::string mode = getenv("CRM_TEST_MODE") ? getenv("CRM_TEST_MODE") : "";
    runtime.Serve(std::make_unique<testing::EchoService>());
    runtime.Job("tick", [&runtime](Call call) -> Async<> {
      static int started = 0;
      obs::Log(obs::Level::kInfo, call, "tick began", {{"times", ++started}, {"actor", call.principal.user_id}});
      if (started == 1) co_return absl::InternalError("the first time fails");
      auto sum = co_await runtime.Offload([]() -> absl::StatusOr<int> { return 40 + 2; });
      if (!sum.ok()) co_return sum.status();
      obs::Log(obs::Level::kInfo, call, "tick computed", {{"sum", *sum}});
      for (;;) {
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::seconds(60));
        co_await timer.async_wait(asio::use_awaitable);
      }
    });
    runtime.OnDrain([]() -> Async<> {
      obs::Log(obs::Level::kInfo, "draining first");
      co_return absl::OkStatus();
    });
    if (mode == "crash") {
      runtime.Job("crash", [](Call) -> Async<> {
        co_await testing::Sleep(100);
        std::raise(SIGSEGV);
        co_return absl::OkStatus();
      });
    }
    if (mode == "unsafe") runtime.Serve(std::make_unique<testing::EchoService>());
    if (mode == "peer") runtime.peer("nobody");
  });
}

// ---- identity, as far as others need it ----

class AccessService final : public rpc::Service {
 public:
  AccessService() : rpc::Service("crm.identity.v1.AccessService") {}
  CRM_RPC(ListAccessChanges, identity::v1::ListAccessChangesRequest, identity::v1::ListAccessChangesResponse)
  CRM_RPC(GetRoleGrants, identity::v1::GetRoleGrantsRequest, identity::v1::GetRoleGrantsResponse)
};
Async<identity::v1::ListAccessChangesResponse> AccessService::ListAccessChanges(
    Call&, const identity::v1::ListAccessChangesRequest&) {
  co_return identity::v1::ListAccessChangesResponse();
}
Async<identity::v1::GetRoleGrantsResponse> AccessService::GetRoleGrants(Call&,
                                                                        const identity::v1::GetRoleGrantsRequest&) {
  co_return identity::v1::GetRoleGrantsResponse();
}

class TimeService final : public rpc::Service {
 public:
  TimeService() : rpc::Service("crm.identity.v1.TimeService") {}
  CRM_RPC(GetTime, identity::v1::GetTimeRequest, identity::v1::GetTimeResponse)
};
Async<identity::v1::GetTimeResponse> TimeService::GetTime(Call&, const identity::v1::GetTimeRequest&) {
  identity::v1::GetTimeResponse response;
  *response.mutable_time() = ToTimestamp(absl::Now());
  co_return response;
}

int FreePort() {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::make_address("127.0.0.1"), 0});
  return acceptor.local_endpoint().port();
}

class ProcessTest : public testing::RpcTest {
 protected:
  static void SetUpTestSuite() {
    RpcTest::SetUpTestSuite();
    certificates_->Make("identity", "identity");
  }

  void TearDown() override {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      Wait();
    }
    if (identity_) identity_->Drain(std::chrono::seconds(1));
    identity_.reset();
    RpcTest::TearDown();
  }

  void StartIdentity() {
    if (!thread_.joinable()) {
      busy_.emplace(server_loop_.get_executor());
      thread_ = std::thread([this] { server_loop_.run(); });
    }
    auto options = Options();
    options.listen = absl::StrCat("127.0.0.1:", identity_port_);
    options.health_listen.clear();
    options.cert_file = certificates_->Pem("identity");
    options.key_file = certificates_->Key("identity");
    identity_ = std::make_unique<rpc::Server>(options, std::vector<asio::any_io_executor>{server_loop_.get_executor()},
                                              *authenticator_);
    identity_->Add(std::make_unique<AccessService>());
    identity_->Add(std::make_unique<TimeService>());
    ASSERT_TRUE(identity_->Start().ok());
  }

  std::string Config(const std::string& more = "") const {
    return absl::StrCat(R"({"listen":"127.0.0.1:)", port_, R"(","health_listen":"127.0.0.1:)", health_port_,
                        R"(","metrics_listen":"127.0.0.1:)", metrics_port_, R"(","tls":{"cert_file":")",
                        certificates_->Pem("echo"), R"(","key_file":")", certificates_->Key("echo"), R"(","ca_file":")",
                        certificates_->Pem("ca"),
                        R"("},"redis":{"host":"127.0.0.1","port":1},"peers":{"identity":"127.0.0.1:)", identity_port_,
                        R"("},"tokens":{"issuer":"crm","jwks_file":")", jwks_, R"("},"loops":2)", more, "}");
  }
  void Spawn(const std::string& config, const std::string& mode = "") {
    testing::WriteFile(folder_ / "config.json", config);
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      const int out = open((folder_ / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      dup2(out, STDOUT_FILENO);
      dup2(out, STDERR_FILENO);
      setenv("CRM_TEST_MODE", mode.c_str(), 1);
      const std::string argument = "--config=" + (folder_ / "config.json");
      execl("/proc/self/exe", "echo", "--serve", argument.c_str(), nullptr);
      _exit(127);
    }
  }
  // The exit code, or minus the signal.
  int Wait() {
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  std::string Log() const {
    std::ifstream in(folder_ / "log");
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  // Status line and body; "" if nobody answers.
  std::string Http(const std::string& target, const std::string& method = "GET") const {
    try {
      asio::io_context io;
      asio::ip::tcp::socket socket(io);
      socket.connect({asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(metrics_port_)});
      asio::write(socket, asio::buffer(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
      std::string out;
      boost::system::error_code error;
      asio::read(socket, asio::dynamic_buffer(out), error);
      return out;
    } catch (const boost::system::system_error&) {
      return "";
    }
  }
  bool Ready() const { return absl::StartsWith(Http("/readyz"), "HTTP/1.1 200"); }
  template <typename Condition>
  bool Soon(Condition condition, int seconds = 20) {
    const auto until = Steady::now() + std::chrono::seconds(seconds);
    while (!condition()) {
      if (Steady::now() > until) return false;
      usleep(5000);
    }
    return true;
  }
  std::unique_ptr<rpc::Client> ClientOfChild() const {
    rpc::ClientOptions options;
    options.address = absl::StrCat("127.0.0.1:", port_);
    options.ca_file = certificates_->Pem("ca");
    options.cert_file = certificates_->Pem("contact");
    options.key_file = certificates_->Key("contact");
    options.peer = "echo";
    return std::make_unique<rpc::Client>(options);
  }

  const int port_ = FreePort(), health_port_ = FreePort(), metrics_port_ = FreePort(), identity_port_ = FreePort();
  pid_t child_ = -1;
  std::unique_ptr<rpc::Server> identity_;
};

TEST_F(ProcessTest, ComesUpWithoutItsNeighboursAndIsReadyWhenTheyAre) {
  Spawn(Config());
  ASSERT_TRUE(Soon([&] { return !Http("/livez").empty(); })) << Log();
  EXPECT_TRUE(absl::StartsWith(Http("/livez"), "HTTP/1.1 200")) << Http("/livez");
  EXPECT_TRUE(absl::StartsWith(Http("/readyz"), "HTTP/1.1 503")) << Http("/readyz");
  EXPECT_TRUE(absl::StrContains(Http("/readyz"), "identity")) << Http("/readyz");
  // A token cannot be judged yet, which is not the same as a bad token.
  auto client = ClientOfChild();
  auto early = loop_.Run(client->Unary<EchoReply>(UserCall(), "crm.testing.v1.EchoService.Echo", EchoRequest()));
  EXPECT_EQ(early.status().code(), absl::StatusCode::kUnavailable) << early.status();
  StartIdentity();
  EXPECT_TRUE(Soon([&] { return Ready(); })) << Log();
  auto reply = loop_.Run(client->Unary<EchoReply>(UserCall(), "crm.testing.v1.EchoService.Echo", EchoRequest()));
  EXPECT_TRUE(reply.ok()) << reply.status();
}

TEST_F(ProcessTest, IsReadyWithinASecond) {
  StartIdentity();
  const auto started = Steady::now();
  Spawn(Config());
  ASSERT_TRUE(Soon([&] { return Ready(); })) << Log();
  // One second is the goal on an idle machine; a busy one gets more, and still notices when seconds are wasted.
  EXPECT_LT(Steady::now() - started, std::chrono::seconds(4)) << Log();

  EXPECT_TRUE(Soon([&] { return absl::StrContains(Log(), "tick computed"); })) << Log();
  EXPECT_TRUE(absl::StrContains(Log(), "\"sum\":42"));
  EXPECT_TRUE(absl::StrContains(Log(), "the first time fails")) << "a job that fails is started again";
  EXPECT_TRUE(absl::StrContains(Log(), "\"actor\":\"service_echo\""));
  const std::string metrics = Http("/metrics");
  EXPECT_TRUE(absl::StrContains(metrics, "text/plain; version=0.0.4")) << metrics.substr(0, 300);
  EXPECT_TRUE(absl::StrContains(metrics, "process_resident_memory_bytes "));
  EXPECT_TRUE(absl::StrContains(metrics, "crm_rpc_in_flight 0"));
  EXPECT_TRUE(absl::StartsWith(Http("/nothing"), "HTTP/1.1 404"));
  EXPECT_TRUE(absl::StartsWith(Http("/metrics", "POST"), "HTTP/1.1 405"));
  EXPECT_TRUE(absl::StartsWith(Http("/livez?x=1", "HEAD"), "HTTP/1.1 200"));
  EXPECT_EQ(Http("/" + std::string(20'000, 'x')).find("200 OK"), std::string::npos);
  EXPECT_TRUE(Ready());
}

TEST_F(ProcessTest, StopsInOrder) {
  StartIdentity();
  Spawn(Config(), "");
  ASSERT_TRUE(Soon([&] { return Ready(); })) << Log();
  auto client = ClientOfChild();
  EchoRequest slow;
  slow.set_sleep_ms(700);
  std::optional<absl::StatusOr<EchoReply>> answer;
  auto body = [](rpc::Client* client, Call call, EchoRequest request,
                 std::optional<absl::StatusOr<EchoReply>>* answer) -> asio::awaitable<void> {
    *answer = co_await client->Unary<EchoReply>(call, "crm.testing.v1.EchoService.Echo", request);
  };
  asio::co_spawn(loop_.context(), body(client.get(), UserCall(), slow, &answer), asio::detached);
  loop_.RunFor(std::chrono::milliseconds(300));
  const auto started = Steady::now();
  kill(child_, SIGTERM);
  Eventually([&] { return answer.has_value(); });
  EXPECT_TRUE(answer->ok()) << answer->status();
  EXPECT_EQ(Wait(), 0) << Log();
  EXPECT_LT(Steady::now() - started, std::chrono::seconds(4));
  const std::string log = Log();
  EXPECT_TRUE(absl::StrContains(log, "draining first")) << log;
  EXPECT_TRUE(absl::StrContains(log, "\"msg\":\"stopped\"")) << log;
  EXPECT_FALSE(absl::StrContains(log, "did not end in time")) << log;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    google::protobuf::Struct parsed;
    EXPECT_TRUE(json::Read(line, parsed).ok()) << line;
    EXPECT_EQ(parsed.fields().at("svc").string_value(), "echo") << line;
  }
}

TEST_F(ProcessTest, ACrashLeavesALine) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer takes crashes and reports them itself";
  StartIdentity();  // no job begins before the time is known
  Spawn(Config(), "crash");
  EXPECT_EQ(Wait(), -SIGSEGV);
  EXPECT_TRUE(absl::StrContains(Log(), "\"signal\":\"SEGV\"")) << Log();
  EXPECT_TRUE(absl::StrContains(Log(), "\"frames\":[\"0x")) << Log();
}

TEST_F(ProcessTest, MistakesEndItWithAText) {
  Spawn(Config(R"(,"colour":"red")"));
  EXPECT_EQ(Wait(), 1);
  EXPECT_TRUE(absl::StrContains(Log(), "colour")) << Log();
  Spawn(Config(R"(,"log_level":"loud")"));
  EXPECT_EQ(Wait(), 1);
  EXPECT_TRUE(absl::StrContains(Log(), "log_level")) << Log();
  Spawn(Config(), "unsafe");
  EXPECT_EQ(Wait(), 1);
  EXPECT_TRUE(absl::StrContains(Log(), "is served twice")) << Log();
  Spawn(Config(), "peer");
  EXPECT_EQ(Wait(), 1);
  EXPECT_TRUE(absl::StrContains(Log(), "nobody")) << Log();
}

TEST_F(ProcessTest, APortThatIsTakenIsSaid) {
  asio::io_context io;
  asio::ip::tcp::acceptor taken(io, {asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(metrics_port_)}, false);
  Spawn(Config());
  EXPECT_EQ(Wait(), 1);
  EXPECT_TRUE(absl::StrContains(Log(), absl::StrCat("127.0.0.1:", metrics_port_))) << Log();
}

}  // namespace
}  // namespace crm::app

int main(int argc, char** argv) {
  if (argc > 1 && absl::string_view(argv[1]) == "--serve") {
    argv[1] = argv[0];
    return crm::app::Serve(argc - 1, argv + 1);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
