// What a server holds its services to, its certificates and its health.
#include <absl/strings/match.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include "tests/integration/rpc/echo.h"

namespace crm::testing {
namespace {

// Each rpc has one thing wrong; see echo.proto.
class UnsafeService final : public rpc::Service {
 public:
  UnsafeService() : rpc::Service("crm.testing.v1.UnsafeService") {}
  CRM_RPC(Unannotated, EchoRequest, EchoReply)
  CRM_RPC(OtherTypes, WriteRequest, EchoReply)
  CRM_RPC(NotStreaming, WatchRequest, EchoReply)
  CRM_RPC(Nobody, EchoRequest, EchoReply)
  CRM_RPC(HalfRight, EchoRequest, EchoReply)
  CRM_RPC(UnknownRule, v1::UnknownRuleRequest, EchoReply)
  CRM_RPC(NotInProto, EchoRequest, EchoReply)
};

Async<EchoReply> UnsafeService::Unannotated(Call&, const EchoRequest&) { co_return EchoReply(); }
Async<EchoReply> UnsafeService::OtherTypes(Call&, const WriteRequest&) { co_return EchoReply(); }
Async<EchoReply> UnsafeService::NotStreaming(Call&, const WatchRequest&) { co_return EchoReply(); }
Async<EchoReply> UnsafeService::Nobody(Call&, const EchoRequest&) { co_return EchoReply(); }
Async<EchoReply> UnsafeService::HalfRight(Call&, const EchoRequest&) { co_return EchoReply(); }
Async<EchoReply> UnsafeService::UnknownRule(Call&, const v1::UnknownRuleRequest&) { co_return EchoReply(); }
Async<EchoReply> UnsafeService::NotInProto(Call&, const EchoRequest&) { co_return EchoReply(); }

class NoSuchService final : public rpc::Service {
 public:
  NoSuchService() : rpc::Service("crm.testing.v1.NoSuchService") {}
};

class StartTest : public RpcTest {
 protected:
  // grpc.health.v1 without stubs: the answer's status, or -1.
  static int Health(int port, const std::string& method = "/grpc.health.v1.Health/Check") {
    auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    grpc::ByteBuffer request, response;
    {
      grpc::Slice nothing("", 0);
      request = grpc::ByteBuffer(&nothing, 1);
    }
    // By a queue of our own: callbacks come on threads of libgrpc++'s.
    grpc::CompletionQueue queue;
    auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, &queue);
    void* tag = nullptr;
    bool done = false;
    queue.Next(&tag, &done);
    int answer = -1;
    std::vector<grpc::Slice> slices;
    if (status.ok() && response.Dump(&slices).ok()) {
      answer = 0;
      for (const auto& slice : slices) {
        if (slice.size() == 2 && slice.begin()[0] == 0x08) answer = slice.begin()[1];
      }
    }
    queue.Shutdown();
    while (queue.Next(&tag, &done)) {
    }
    return answer;
  }
};

TEST_F(StartTest, UnsafeServicesStopTheStart) {
  UnsafeService unsafe;
  const absl::Status wrong = rpc::CheckService(unsafe);
  EXPECT_EQ(wrong.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* part :
       {"UnsafeService.Unannotated does not say who may call it", "UnsafeService.Unhandled has no handler",
        "UnsafeService.OtherTypes takes crm.testing.v1.EchoRequest",
        "UnsafeService.NotStreaming must be registered with CRM_RPC_STREAM",
        "UnsafeService.Nobody: its access option is set to false",
        "UnsafeService.HalfRight: its right needs an object and an action",
        "UnsafeService.UnknownRule: ", "UnsafeService.NotInProto is in service.h but in no proto"}) {
    EXPECT_TRUE(absl::StrContains(wrong.message(), part)) << part << " in\n" << wrong.message();
  }
  EXPECT_FALSE(rpc::CheckService(NoSuchService()).ok());
  EXPECT_TRUE(rpc::CheckService(EchoService()).ok()) << rpc::CheckService(EchoService());

  rpc::Server server(Options(), {loop_.executor()}, *authenticator_);
  server.Add(std::make_unique<EchoService>());
  server.Add(std::make_unique<UnsafeService>());
  EXPECT_EQ(server.Start().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(server.port(), 0);
}

TEST_F(StartTest, APortThatIsTakenStopsTheStart) {
  Start();
  auto options = Options();
  options.listen = "127.0.0.1:" + std::to_string(server_->port());
  rpc::Server second(options, {loop_.executor()}, *authenticator_);
  const absl::Status taken = second.Start();
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(taken.message(), options.listen)) << taken;
}

TEST_F(StartTest, HealthIsPlainAndFollowsWhatTheProcessSays) {
  Start();
  EXPECT_EQ(Health(server_->health_port()), 2);  // NOT_SERVING
  server_->SetServing(true);
  EXPECT_EQ(Health(server_->health_port()), 1);  // SERVING
  server_->SetServing(false);
  EXPECT_EQ(Health(server_->health_port()), 2);
  // Nothing else is served there, and health not on the TLS port.
  EXPECT_EQ(Health(server_->health_port(), "/crm.testing.v1.EchoService/Open"), -1);
  rpc::RawCall health{"grpc.health.v1.Health.Check", "", client_->MetadataOf(UserCall())};
  EXPECT_EQ(loop_.Run(client_->UnaryRaw(health)).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(StartTest, OnlyCertificatesOfTheCaAreLetIn) {
  Start();
  static const bool made = [] {
    certificates_->MakeCa("stranger");
    certificates_->Make("forged", "contact", "stranger");
    return true;
  }();
  ASSERT_TRUE(made);
  Call call = UserCall();
  call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  auto ask = [&](rpc::Client& client) {
    return loop_.Run(client.Unary<EchoReply>(call, "crm.testing.v1.EchoService.Open", EchoRequest())).status();
  };
  EXPECT_TRUE(ask(*client_).ok());
  // Signed by someone else: the server refuses.
  EXPECT_EQ(ask(*NewClient("forged")).code(), absl::StatusCode::kUnavailable);
  // Trusts someone else: the client refuses.
  EXPECT_EQ(ask(*NewClient("contact", "echo", "stranger")).code(), absl::StatusCode::kUnavailable);
  // The server is another service than the one that was called.
  EXPECT_EQ(ask(*NewClient("contact", "identity")).code(), absl::StatusCode::kUnavailable);
  // By the host's name instead of the service's.
  EXPECT_TRUE(ask(*NewClient("contact", "")).ok());
  EXPECT_EQ(echo_->runs, 2);
}

TEST_F(StartTest, TlsWithACertificateIsNotOptional) {
  Start();
  // Without TLS.
  EXPECT_EQ(Health(server_->port(), "/crm.testing.v1.EchoService/Open"), -1);
  const std::string connect =
      "(sleep 0.5) | timeout 10 openssl s_client -alpn h2 -connect 127.0.0.1:" + std::to_string(server_->port()) +
      " -CAfile " + certificates_->Pem("ca") + " ";
  const std::string own = "-cert " + certificates_->Pem("contact") + " -key " + certificates_->Key("contact");
  EXPECT_EQ(std::system((connect + own + " 2>&1 | grep -q 'New, TLSv1.3'").c_str()), 0);
  // Without a certificate.
  LogLines log;
  EXPECT_EQ(std::system((connect + " >/dev/null 2>&1; true").c_str()), 0);
  Eventually([&] { return !log.With("peer did not return a certificate").empty(); });
  EXPECT_EQ(echo_->runs, 0);
}

TEST_F(StartTest, CertificatesAreRenewedWithoutAFailedCall) {
  certificates_->Make("renewed", "echo");
  auto options = Options();
  options.cert_file = certificates_->Pem("renewed");
  options.key_file = certificates_->Key("renewed");
  Start(options);
  const std::string serial =
      "echo | timeout 10 openssl s_client -connect 127.0.0.1:" + std::to_string(server_->port()) + " -cert " +
      certificates_->Pem("contact") + " -key " + certificates_->Key("contact") +
      " 2>/dev/null | openssl x509 -noout -serial > " + (folder_ / "serial");
  auto serial_now = [&] {
    EXPECT_EQ(std::system(serial.c_str()), 0);
    std::ifstream in(folder_ / "serial");
    std::string line;
    std::getline(in, line);
    return line;
  };
  const std::string before = serial_now();
  ASSERT_TRUE(absl::StartsWith(before, "serial=")) << before;
  certificates_->Make("renewed", "echo");
  int calls = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::string now = before;
  auto next_look = std::chrono::steady_clock::now();
  while (now == before && std::chrono::steady_clock::now() < until) {
    ASSERT_TRUE(Echo(UserCall()).ok());
    auto fresh = NewClient("contact");
    ASSERT_TRUE(loop_.Run(fresh->Unary<EchoReply>(UserCall(), "crm.testing.v1.EchoService.Echo", EchoRequest())).ok());
    ++calls;
    if (std::chrono::steady_clock::now() > next_look) {
      now = serial_now();
      next_look += std::chrono::milliseconds(500);
    }
    loop_.RunFor(std::chrono::milliseconds(50));
  }
  EXPECT_NE(now, before);
  EXPECT_GT(calls, 2);
}

}  // namespace
}  // namespace crm::testing
