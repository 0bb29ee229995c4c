// A service that shows what it was handed, over real TLS sockets, with certificates of a CA that the test makes.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/error.h"
#include "common/obs/log.h"
#include "common/rpc/access.h"
#include "common/rpc/client.h"
#include "common/rpc/metadata.h"
#include "common/rpc/server.h"
#include "crm/testing/v1/echo.pb.h"
#include "tests/testing/run.h"
#include "tests/unit/common/rpc/keys.h"

namespace crm::testing {

using v1::EchoReply;
using v1::EchoRequest;
using v1::WatchRequest;
using v1::WriteRequest;

class EchoService final : public rpc::Service {
 public:
  EchoService() : rpc::Service("crm.testing.v1.EchoService") {}
  CRM_RPC(Echo, EchoRequest, EchoReply)
  CRM_RPC(Write, WriteRequest, EchoReply)
  CRM_RPC(Open, EchoRequest, EchoReply)
  CRM_RPC(Internal, EchoRequest, EchoReply)
  CRM_RPC_STREAM(Watch, WatchRequest, EchoReply)

  // What the test asks about.
  std::atomic<int> runs{0};       // handlers begun
  std::atomic<int> finished{0};   // ... and ended, whatever became of the answer
  std::atomic<int> told_gone{0};  // streams that were told that their reader has gone

 private:
  Async<EchoReply> Answer(Call& call, const EchoRequest& request);
};

inline asio::awaitable<void> Sleep(int ms) {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(ms));
  boost::system::error_code error;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
}

inline EchoReply Describe(const Call& call) {
  using Kind = Principal::Kind;
  EchoReply reply;
  reply.set_kind(call.principal.kind == Kind::kUser      ? "user"
                 : call.principal.kind == Kind::kApiKey  ? "api_key"
                 : call.principal.kind == Kind::kService ? "service"
                                                         : "anonymous");
  reply.set_user_id(call.principal.user_id);
  reply.set_tenant_id(call.principal.tenant_id());
  reply.set_request_id(call.request_id);
  reply.set_idempotency_key(call.idempotency_key);
  reply.set_body_hash(call.body_hash);
  reply.set_has_etag(call.has_etag);
  reply.set_language(call.language);
  reply.set_time_zone(call.time_zone);
  reply.set_method(call.method);
  reply.set_traceparent(call.traceparent);
  if (!call.cause.empty()) {
    reply.set_cause(call.cause.rule_id + " " + call.cause.run_id + " " + std::to_string(call.cause.depth));
  }
  reply.set_left_ms(
      std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - std::chrono::steady_clock::now()).count());
  return reply;
}

inline Async<EchoReply> EchoService::Answer(Call& call, const EchoRequest& request) {
  ++runs;
  EchoReply reply = Describe(call);
  reply.set_text(request.text());
  if (request.sleep_ms() > 0) co_await Sleep(request.sleep_ms());
  ++finished;
  if (request.text() == "throw") throw std::runtime_error("a secret of the handler");
  if (request.text() == "overloaded") {
    auto status = Error(absl::StatusCode::kUnavailable, type::v1::ERROR_REASON_OVERLOADED, "too much");
    SetRetryDelay(status, std::chrono::milliseconds(1500));
    co_return status;
  }
  if (request.text() == "violations") {
    co_return FieldErrors(
        {{"contact.phones[0].number", "is no phone number"}, {"contact.name", "\xd0\xb8\xd0\xbc\xd1\x8f"}});
  }
  if (request.code() != 0)
    co_return absl::Status(static_cast<absl::StatusCode>(request.code()), "a secret of the handler");
  reply.set_blob(std::string(static_cast<size_t>(request.reply_bytes()), 'b'));
  co_return reply;
}

inline Async<EchoReply> EchoService::Echo(Call& call, const EchoRequest& request) { return Answer(call, request); }
inline Async<EchoReply> EchoService::Open(Call& call, const EchoRequest& request) { return Answer(call, request); }
inline Async<EchoReply> EchoService::Internal(Call& call, const EchoRequest& request) { return Answer(call, request); }

inline Async<EchoReply> EchoService::Write(Call& call, const WriteRequest& request) {
  const int run = ++runs;
  if (request.text() == "unavailable") co_return absl::UnavailableError("the database is away");
  if (run <= request.lose()) co_return LostRace("echo_1");
  EchoReply reply = Describe(call);
  reply.set_runs(run);
  reply.set_text(request.request_id());
  co_return reply;
}

inline Async<> EchoService::Watch(Call& call, const WatchRequest& request, rpc::Stream<EchoReply>& stream) {
  ++runs;
  EchoReply reply = Describe(call);
  absl::Status sent;
  for (int i = 0; i < request.messages() && sent.ok(); ++i) {
    if (request.sleep_ms() > 0) co_await Sleep(request.sleep_ms());
    if (stream.cancelled()) break;
    reply.set_runs(i);
    reply.set_blob(std::string(static_cast<size_t>(request.reply_bytes()), 'b'));
    sent = co_await stream.Send(reply);
  }
  if (stream.cancelled()) ++told_gone;
  ++finished;
  if (!sent.ok()) co_return sent;
  if (request.code() != 0) co_return absl::Status(static_cast<absl::StatusCode>(request.code()), "as asked");
  co_return absl::OkStatus();
}

// A CA and certificates, by the openssl command.
class Certificates {
 public:
  Certificates() { MakeCa("ca"); }

  void MakeCa(const std::string& ca) {
    Run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + Key(ca));
    Run("req -x509 -new -key " + Key(ca) + " -days 2 -subj '/CN=" + ca +
        "' -addext basicConstraints=critical,CA:TRUE -out " + Pem(ca));
  }
  // Signed by `ca`; ends at once for `days` 0 (openssl refuses less).
  void Make(const std::string& name, const std::string& common_name, const std::string& ca = "ca", int days = 2) {
    WriteFile(folder_ / "ext",
              "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints="
              "critical,CA:FALSE\n");
    Run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + Key(name));
    Run("req -new -key " + Key(name) + " -subj '/CN=" + common_name + "' -out " + (folder_ / "csr"));
    Run("x509 -req -in " + (folder_ / "csr") + " -CA " + Pem(ca) + " -CAkey " + Key(ca) + " -CAcreateserial -days " +
        std::to_string(days) + " -extfile " + (folder_ / "ext") + " -out " + Pem(name));
  }
  std::string Pem(const std::string& name) const { return folder_ / (name + ".pem"); }
  std::string Key(const std::string& name) const { return folder_ / (name + ".key"); }
  const Folder& folder() const { return folder_; }

 private:
  static void Run(const std::string& arguments) {
    if (std::system(("openssl " + arguments + " >/dev/null 2>&1").c_str()) != 0) {
      ADD_FAILURE() << "openssl " << arguments;
      std::abort();
    }
  }
  Folder folder_;
};

// Identity that grants one role what the test says.
class OneRole final : public rpc::GrantSource {
 public:
  Async<identity::v1::ListAccessChangesResponse> ListAccessChanges(identity::v1::ListAccessChangesRequest) override {
    identity::v1::ListAccessChangesResponse response;
    for (const auto& id : revoked) {
      auto* revocation = response.add_revocations();
      revocation->set_subject_id(id);
      revocation->mutable_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
    }
    co_return response;
  }
  Async<identity::v1::GetRoleGrantsResponse> GetRoleGrants(identity::v1::GetRoleGrantsRequest request) override {
    identity::v1::GetRoleGrantsResponse response;
    for (const auto& id : request.role_ids()) {
      if (id != role) continue;
      auto* grants = response.add_roles();
      grants->set_tenant_id(request.tenant_id());
      grants->set_role_id(id);
      auto* grant = grants->add_grants();
      grant->set_object("echo");
      grant->set_action(type::v1::ACTION_UPDATE);
      grant->set_scope(type::v1::SCOPE_OWN);
    }
    co_return response;
  }
  std::string role;
  std::vector<std::string> revoked;  // sessions and users shut out
};

// Lines of the log while it lives.
class LogLines {
 public:
  LogLines() {
    obs::CaptureLog([this](absl::string_view line) {
      std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
    });
  }
  ~LogLines() { obs::CaptureLog(nullptr); }
  std::vector<std::string> With(const std::string& text) {
    std::lock_guard lock(mutex_);
    std::vector<std::string> found;
    for (const auto& line : lines_) {
      if (line.find(text) != std::string::npos) found.push_back(line);
    }
    return found;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

class RpcTest : public ::testing::Test {
 protected:
  // Certificates are made once: they cost more than the tests.
  static void SetUpTestSuite() {
    certificates_ = new Certificates;
    certificates_->Make("echo", "echo");
    certificates_->Make("contact", "contact");
  }
  static void TearDownTestSuite() { delete certificates_; }

  void SetUp() override {
    WriteFile(jwks_, Jwks({key_.Jwk("one")}));
    WriteFile(pem_, key_.Pem());
    verifier_ = *rpc::TokenVerifier::Make("crm", jwks_);
    signer_ = *rpc::TokenSigner::Make(pem_, jwks_);
    directory_ = std::make_unique<rpc::AccessDirectory>(grants_);
    authenticator_ = std::make_unique<rpc::Authenticator>(*verifier_, *directory_);
    ASSERT_TRUE(loop_.Run(directory_->Poll()).ok());
    claims_ = SomeClaims(absl::Now());
    grants_.role = claims_.roles[0];
    token_ = signer_->Sign(claims_);
  }
  void TearDown() override {
    if (server_) server_->Drain(std::chrono::seconds(5));
    loop_.RunFor(std::chrono::milliseconds(1));
    client_.reset();
    server_.reset();
    if (thread_.joinable()) {
      busy_.reset();
      server_loop_.stop();
      thread_.join();
    }
  }

  rpc::ServerOptions Options() const {
    rpc::ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.health_listen = "127.0.0.1:0";
    options.ca_file = certificates_->Pem("ca");
    options.cert_file = certificates_->Pem("echo");
    options.key_file = certificates_->Key("echo");
    return options;
  }
  void Start() { Start(Options()); }
  void Start(rpc::ServerOptions options) {
    busy_.emplace(server_loop_.get_executor());
    thread_ = std::thread([this] { server_loop_.run(); });
    server_ = std::make_unique<rpc::Server>(options, std::vector<asio::any_io_executor>{server_loop_.get_executor()},
                                            *authenticator_);
    auto service = std::make_unique<EchoService>();
    echo_ = service.get();
    server_->Add(std::move(service));
    const absl::Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started;
    client_ = NewClient("contact");
  }
  std::unique_ptr<rpc::Client> NewClient(const std::string& certificate, const std::string& peer = "echo",
                                         const std::string& ca = "ca") {
    rpc::ClientOptions options;
    options.address = "127.0.0.1:" + std::to_string(server_->port());
    options.ca_file = certificates_->Pem(ca);
    options.cert_file = certificates_->Pem(certificate);
    options.key_file = certificates_->Key(certificate);
    options.peer = peer;
    return std::make_unique<rpc::Client>(options);
  }

  Call UserCall() const {
    Call call;
    call.principal.kind = Principal::Kind::kUser;
    call.token = token_;
    call.request_id = "request-1";
    call.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    call.language = "";
    call.time_zone = "";
    return call;
  }
  Call ServiceCall() const {
    Call call = UserCall();
    call.token.clear();
    call.principal.kind = Principal::Kind::kService;
    return call;
  }
  Call AnonymousCall() const {
    Call call = UserCall();
    call.token.clear();
    call.principal.kind = Principal::Kind::kAnonymous;
    return call;
  }

  template <typename Request>
  absl::StatusOr<EchoReply> Ask(const Call& call, const std::string& method, const Request& request) {
    return loop_.Run(client_->Unary<EchoReply>(call, "crm.testing.v1.EchoService." + method, request));
  }
  absl::StatusOr<EchoReply> Echo(const Call& call, const std::string& text = "hello") {
    EchoRequest request;
    request.set_text(text);
    return Ask(call, "Echo", request);
  }
  template <typename Condition>
  void Eventually(Condition condition) {
    loop_.Until(condition, std::chrono::seconds(20));
  }

  inline static Certificates* certificates_ = nullptr;
  Loop loop_;
  asio::io_context server_loop_{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> busy_;
  std::thread thread_;
  const Ed25519 key_;
  const Folder folder_;
  const std::string jwks_ = folder_ / "jwks.json", pem_ = folder_ / "signing.pem";
  OneRole grants_;
  std::unique_ptr<rpc::TokenVerifier> verifier_;
  std::unique_ptr<rpc::TokenSigner> signer_;
  std::unique_ptr<rpc::AccessDirectory> directory_;
  std::unique_ptr<rpc::Authenticator> authenticator_;
  std::unique_ptr<rpc::Server> server_;
  EchoService* echo_ = nullptr;
  std::unique_ptr<rpc::Client> client_;
  rpc::Claims claims_;
  std::string token_;
};

}  // namespace crm::testing
