// A gateway over real sockets, with the services of backend.h behind it, a Redis of its own, and clients that speak
// HTTP.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/events/wire.h"
#include "common/redis/stream.h"
#include "common/rpc/server.h"
#include "services/gateway/gateway.h"
#include "services/gateway/http_server.h"
#include "tests/integration/gateway/backend.h"
#include "tests/integration/rpc/echo.h"
#include "tests/testing/servers.h"
#include "tests/unit/services/gateway/descriptors.h"

namespace crm::gateway::test {

namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using Headers = std::vector<std::pair<std::string, std::string>>;
using Json = nlohmann::json;

struct Answer {
  unsigned status = 0;
  http::fields headers;
  std::string body;
  Json json;

  std::string operator[](const std::string& name) const { return std::string(headers[name]); }
  std::string reason() const {
    return json.contains("error") ? json["error"]["details"][0].value("reason", "") : std::string();
  }
};

// An event loop on a thread of its own.
struct Thread {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};
  std::thread thread{[this] { io.run(); }};
  void Stop() {
    guard.reset();
    io.stop();
    if (thread.joinable()) thread.join();
  }
  ~Thread() { Stop(); }
};

// One open stream, read by a thread.
class Listener {
 public:
  struct Event {
    std::string id, event;
    Json data;
  };
  Listener(uint16_t port, const std::string& target, const Headers& headers) : socket_(io_) {
    socket_.connect({asio::ip::make_address("127.0.0.1"), port});
    std::string head = "GET " + target + " HTTP/1.1\r\nHost: h\r\n";
    for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
    asio::write(socket_, asio::buffer(head + "\r\n"));
    thread_ = std::thread([this] { Read(); });
  }
  ~Listener() {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    thread_.join();
  }
  template <typename Condition>
  bool Until(Condition condition, std::chrono::seconds limit = std::chrono::seconds(15)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return condition(*this); });
  }
  // Called with the mutex held, in conditions.
  std::vector<Event> events;
  bool ended = false;
  unsigned status = 0;
  std::string stream_id;

  std::vector<uint64_t> Seqs() {
    std::lock_guard lock(mutex_);
    std::vector<uint64_t> seqs;
    for (const auto& event : events) {
      if (event.event.empty()) seqs.push_back(event.data["seq"]);
    }
    return seqs;
  }
  std::string LastId() {
    std::lock_guard lock(mutex_);
    return events.empty() ? "" : events.back().id;
  }

 private:
  void Read() {
    std::string pending, text;
    bool body = false;
    char buffer[4096];
    boost::system::error_code error;
    while (true) {
      size_t n = socket_.read_some(asio::buffer(buffer), error);
      std::lock_guard lock(mutex_);
      if (error) {
        ended = true;
        changed_.notify_all();
        return;
      }
      pending.append(buffer, n);
      if (!body) {
        size_t end = pending.find("\r\n\r\n");
        if (end == std::string::npos) continue;
        status = std::atoi(pending.c_str() + 9);
        pending.erase(0, end + 4);
        body = true;
      }
      // Chunks.
      while (true) {
        size_t line = pending.find("\r\n");
        if (line == std::string::npos) break;
        size_t size = std::stoul(pending, nullptr, 16);
        if (pending.size() < line + 2 + size + 2) break;
        text.append(pending, line + 2, size);
        pending.erase(0, line + 2 + size + 2);
      }
      for (size_t end; (end = text.find("\n\n")) != std::string::npos; text.erase(0, end + 2))
        Take(text.substr(0, end));
      changed_.notify_all();
    }
  }
  void Take(const std::string& block) {
    Event event;
    std::istringstream lines(block);
    bool data = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("id: ", 0) == 0) event.id = line.substr(4);
      if (line.rfind("event: ", 0) == 0) event.event = line.substr(7);
      if (line.rfind("data: ", 0) == 0) {
        event.data = Json::parse(line.substr(6));
        data = true;
      }
    }
    if (!data) return;
    if (event.event == "ready") stream_id = event.data["stream_id"];
    events.push_back(std::move(event));
  }

  asio::io_context io_;
  tcp::socket socket_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class GatewayTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    certificates_ = new crm::testing::Certificates;
    certificates_->Make("backend", "backend");
    certificates_->Make("gateway", "gateway");
    api_ = Api::Make(CompiledIn())->release();
  }
  static void TearDownTestSuite() {
    delete certificates_;
    delete api_;
  }

  void SetUp() override {
    CRM_NEED_SERVERS();
    crm::testing::Servers::Get().StartRedis();
    crm::testing::WriteFile(jwks_, crm::testing::Jwks({key_.Jwk("one")}));
    crm::testing::WriteFile(pem_, key_.Pem());
    verifier_ = *rpc::TokenVerifier::Make("crm", jwks_);
    signer_ = *rpc::TokenSigner::Make(pem_, jwks_);
    directory_ = std::make_unique<rpc::AccessDirectory>(grants_);
    authenticator_ = std::make_unique<rpc::Authenticator>(*verifier_, *directory_);
    claims_ = crm::testing::SomeClaims(absl::Now());
    claims_.session = world_.cookie_session;
    auto& role = grants_.roles[claims_.roles[0]];
    role.set_personal_data(true);
    for (int action = 1; action <= type::v1::Action_MAX; ++action) {
      auto* grant = role.add_grants();
      grant->set_object("*");
      grant->set_action(static_cast<type::v1::Action>(action));
      grant->set_scope(type::v1::SCOPE_ALL);
    }
    token_ = signer_->Sign(claims_);
    world_.token = [this] { return token_; };
    Poll();
    StartBackend();
  }
  void TearDown() override {
    if (server_) asio::co_spawn(edge_.io, server_->Drain(std::chrono::seconds(3)), asio::use_future).get();
    if (live_) {
      asio::post(edge_.io, [this] { stop_live_.emit(asio::cancellation_type::terminal); });
      live_ended_.get_future().wait_for(std::chrono::seconds(10));
    }
    if (backend_) backend_->Drain(std::chrono::seconds(3));
    std::promise<void> done;
    asio::post(edge_.io, [&] {
      redis_.reset();  // its connection belongs to this loop
      done.set_value();
    });
    done.get_future().wait();
    edge_.Stop();
    server_.reset();
    gateway_.reset();
    identity_.reset();
    analytics_.reset();
    backend_.reset();
    services_.Stop();
  }

  void StartBackend() {
    rpc::ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.ca_file = certificates_->Pem("ca");
    options.cert_file = certificates_->Pem("backend");
    options.key_file = certificates_->Key("backend");
    backend_ = std::make_unique<rpc::Server>(options, std::vector<asio::any_io_executor>{services_.io.get_executor()},
                                             *authenticator_);
    backend_->Add(std::make_unique<TeamService>(world_));
    backend_->Add(std::make_unique<SessionService>(world_));
    backend_->Add(std::make_unique<ApiKeyService>(world_));
    backend_->Add(std::make_unique<RefService>(world_));
    backend_->Add(std::make_unique<EventLog>(world_));
    backend_->Add(std::make_unique<ReportService>(world_));
    absl::Status started = backend_->Start();
    ASSERT_TRUE(started.ok()) << started;
    rpc::ClientOptions client;
    client.address = "127.0.0.1:" + std::to_string(backend_->port());
    client.ca_file = certificates_->Pem("ca");
    client.cert_file = certificates_->Pem("gateway");
    client.key_file = certificates_->Key("gateway");
    client.peer = "backend";
    identity_ = std::make_unique<rpc::Client>(client);
  }

  // `analytics`: reports are served too; the event log is then asked under this name also.
  void Start(const std::function<void(app::v1::Config::Gateway&)>& edit = {}, bool analytics = false) {
    app::v1::Config::Gateway config;
    if (edit) edit(config);
    redis::Options redis;
    redis.port = crm::testing::Servers::Get().redis_port();
    std::vector<asio::any_io_executor> loops{edge_.io.get_executor()};
    redis_ = std::make_unique<redis::Client>(redis, loops);
    Peers peers;
    peers.Add("identity", identity_.get());
    if (analytics) peers.Add("analytics", identity_.get());
    gateway_ = std::make_unique<Gateway>(config, *api_, peers, *authenticator_, redis_.get(), loops);
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    if (config.body_bytes_max() > 0) options.body_bytes_max = config.body_bytes_max();
    server_ = std::make_unique<HttpServer>(
        options, loops, [this](HttpRequest& request) { return gateway_->Handle(request); },
        [this](HttpRequest& request, absl::Status status, unsigned code) {
          return gateway_->Refuse(request, std::move(status), code);
        });
    ASSERT_TRUE(server_->Listen().ok());
  }
  void StartLive() {
    live_ = true;
    asio::post(edge_.io, [this] {
      asio::co_spawn(edge_.io, gateway_->RunLive(),
                     asio::bind_cancellation_slot(
                         stop_live_.slot(), [this](std::exception_ptr, absl::Status) { live_ended_.set_value(); }));
    });
  }
  // What processes do every 2 s.
  void Poll() {
    crm::testing::Loop loop;
    ASSERT_TRUE(loop.Run(directory_->Poll()).ok());
  }

  Answer Http(const std::string& method, const std::string& target, const std::string& body = "",
              Headers headers = {}) {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    http::request<http::string_body> request;
    request.method_string(method);
    request.target(target);
    request.set(http::field::host, "h");
    request.set(http::field::connection, "close");
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    for (const auto& [name, value] : headers) request.set(name, value);
    request.body() = body;
    request.prepare_payload();
    boost::system::error_code ignored;
    http::write(socket, request, ignored);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(64 << 20);
    if (method == "HEAD") parser.skip(true);
    boost::system::error_code error;
    http::read(socket, buffer, parser, error);
    Answer answer;
    answer.status = parser.get().result_int();
    answer.headers = parser.get().base();
    answer.body = parser.get().body();
    answer.json = Json::parse(answer.body, nullptr, false);
    return answer;
  }
  Headers Bearer(Headers more = {}) const {
    more.emplace_back("Authorization", "Bearer " + token_);
    return more;
  }
  Answer Get(const std::string& target, Headers more = {}) { return Http("GET", target, "", Bearer(std::move(more))); }
  std::unique_ptr<Listener> Listen(const std::string& target, Headers more = {}) {
    return std::make_unique<Listener>(server_->port(), target, Bearer(std::move(more)));
  }
  Listener::Event* Ready(Listener& listener) {
    listener.Until([](Listener& l) { return !l.stream_id.empty() || l.ended; });
    return listener.events.empty() ? nullptr : &listener.events[0];
  }

  // An event of the caller's tenant; in Redis too unless `silent`.
  void Emit(const std::string& type, const std::string& owner = "", bool silent = false) {
    events::v1::Event event;
    event.set_tenant_id(claims_.tenant);
    event.set_service("identity");
    event.set_type(type);
    event.set_record_id(NewId(type.substr(0, type.find('.')), absl::Now()));
    event.set_owner_id(owner);
    world_.Add(event);
    if (silent) return;
    {
      std::lock_guard lock(world_.mutex);
      event = world_.events[claims_.tenant].back();
    }
    Uuid tenant = ParseId(claims_.tenant)->uuid;
    auto args = redis::AddToStream(events::StreamName("identity", events::ShardOf(tenant)), event.SerializeAsString(),
                                   events::kStreamLengthMax);
    auto added = asio::co_spawn(edge_.io, redis_->Command(std::move(args)), asio::use_future).get();
    ASSERT_TRUE(added.ok()) << added.status();
  }
  template <typename Condition>
  static bool Eventually(Condition condition) {
    for (int i = 0; i < 1500; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  inline static crm::testing::Certificates* certificates_ = nullptr;
  inline static Api* api_ = nullptr;
  World world_;
  Grants grants_;
  const crm::testing::Ed25519 key_;
  const crm::testing::Folder folder_;
  const std::string jwks_ = folder_ / "jwks.json", pem_ = folder_ / "signing.pem";
  std::unique_ptr<rpc::TokenVerifier> verifier_;
  std::unique_ptr<rpc::TokenSigner> signer_;
  std::unique_ptr<rpc::AccessDirectory> directory_;
  std::unique_ptr<rpc::Authenticator> authenticator_;
  rpc::Claims claims_;
  std::string token_;
  Thread services_, edge_;
  std::unique_ptr<rpc::Server> backend_;
  std::unique_ptr<rpc::Client> identity_, analytics_;
  std::unique_ptr<redis::Client> redis_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<HttpServer> server_;
  bool live_ = false;
  asio::cancellation_signal stop_live_;
  std::promise<void> live_ended_;
};

}  // namespace crm::gateway::test
