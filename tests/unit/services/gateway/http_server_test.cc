#include "services/gateway/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <list>
#include <nlohmann/json.hpp>
#include <thread>

#include "services/gateway/http_error.h"

namespace crm::gateway {
namespace {

using tcp = asio::ip::tcp;

// A server that answers the path, on a thread of its own.
class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    options.body_bytes_max = 64 << 10;
    options.connections_max = 50;
    options.header_timeout = std::chrono::milliseconds(300);
    options.body_timeout = std::chrono::milliseconds(300);
    options.idle_timeout = std::chrono::milliseconds(600);
    server_ = std::make_unique<HttpServer>(
        options, std::vector<asio::any_io_executor>{io_.get_executor()},
        [this](HttpRequest& request) { return Answer(request); },
        [](HttpRequest& request, absl::Status status, unsigned code) {
          return ErrorResponse(status, request.request_id, code);
        });
    ASSERT_TRUE(server_->Listen().ok());
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    asio::co_spawn(io_, server_->Drain(std::chrono::seconds(2)), asio::use_future).get();
    guard_.reset();
    io_.stop();
    thread_.join();
  }

  asio::awaitable<HttpResponse> Answer(HttpRequest& request) {
    ++handled_;
    if (request.path == "/throw") throw std::runtime_error("secret detail");
    HttpResponse response;
    if (request.path == "/pause") response.pause = std::chrono::milliseconds(300);
    if (request.path == "/pause-long") response.pause = std::chrono::minutes(10);
    if (request.path == "/slow") {
      asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(300));
      co_await timer.async_wait(asio::use_awaitable);
    }
    if (request.path == "/stream") {
      response.content_type = "text/event-stream";
      response.stream = [this](StreamSink& sink) { return Stream(sink); };
      co_return response;
    }
    response.body =
        request.method + " " + request.path + " " + request.query + " " + std::to_string(request.body.size());
    co_return response;
  }
  asio::awaitable<void> Stream(StreamSink& sink) {
    sink.OnClose([this] { ++closed_; });
    for (int i = 0; i < 200 && !sink.closed(); ++i) {
      if (!(co_await sink.Write("data: " + std::to_string(i) + "\n\n")).ok()) break;
      asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(10));
      co_await timer.async_wait(asio::use_awaitable);
    }
    ++ended_;
  }

  // Sends bytes, reads until the server closes or `limit` passes.
  std::string Talk(const std::string& bytes, std::chrono::milliseconds limit = std::chrono::milliseconds(5000),
                   bool finish = true) {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    boost::system::error_code ignored;
    asio::write(socket, asio::buffer(bytes), ignored);
    if (finish) socket.shutdown(tcp::socket::shutdown_send, ignored);
    return ReadAll(socket, limit);
  }
  static std::string ReadAll(tcp::socket& socket, std::chrono::milliseconds limit) {
    timeval timeout{limit.count() / 1000, static_cast<suseconds_t>(limit.count() % 1000 * 1000)};
    setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    std::string out;
    char buffer[4096];
    ssize_t got;
    while ((got = recv(socket.native_handle(), buffer, sizeof buffer, 0)) > 0) out.append(buffer, got);
    return out;
  }
  static int StatusOf(const std::string& answer) { return answer.size() > 12 ? std::atoi(answer.c_str() + 9) : 0; }
  static std::string BodyOf(const std::string& answer) {
    size_t at = answer.find("\r\n\r\n");
    return at == std::string::npos ? "" : answer.substr(at + 4);
  }
  template <typename Condition>
  static bool Eventually(Condition condition) {
    for (int i = 0; i < 500; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  std::atomic<int> handled_{0}, closed_{0}, ended_{0};
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  std::string answer = Talk(
      "GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /c "
      "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  size_t a = answer.find("GET /a x=1 0"), b = answer.find("POST /b  3"), c = answer.find("GET /c  0");
  EXPECT_NE(a, std::string::npos);
  EXPECT_LT(a, b);
  EXPECT_LT(b, c);
  EXPECT_NE(c, std::string::npos) << answer;
  EXPECT_NE(answer.find("X-Request-Id: req_"), std::string::npos);
}

TEST_F(HttpServerTest, HeadHasNoBodyButItsLength) {
  std::string answer = Talk("HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(BodyOf(answer), "");
  EXPECT_NE(answer.find("Content-Length: 10"), std::string::npos) << answer;
}

TEST_F(HttpServerTest, ChunkedBodiesAreRead) {
  std::string answer = Talk(
      "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: "
      "close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(BodyOf(answer), "POST /b  5");
}

TEST_F(HttpServerTest, GivesBackAGivenRequestIdAndRefusesStrangeOnes) {
  EXPECT_NE(Talk("GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc-1\r\nConnection: close\r\n\r\n")
                .find("X-Request-Id: abc-1\r\n"),
            std::string::npos);
  EXPECT_NE(Talk("GET /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b<script>\r\nConnection: close\r\n\r\n")
                .find("X-Request-Id: req_"),
            std::string::npos);
}

TEST_F(HttpServerTest, Http10ClosesAndNeedsNoHost) {
  std::string answer = Talk("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_EQ(BodyOf(answer), "GET /a  0");
}

TEST_F(HttpServerTest, AbsoluteTargets) {
  EXPECT_EQ(BodyOf(Talk("GET http://h/a/b?c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), "GET /a/b c 0");
}

// Whatever cannot be read is answered with the JSON error, and the connection is over.
TEST_F(HttpServerTest, Abuse) {
  std::string long_header = "GET /a HTTP/1.1\r\nHost: h\r\nX-A: " + std::string(20'000, 'a') + "\r\n\r\n";
  std::string many_headers = "GET /a HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 3000; ++i) many_headers += "A" + std::to_string(i) + ": b\r\n";
  many_headers += "\r\n";
  struct {
    std::string name, bytes;
    int status;
  } const cases[] = {
      {"no HTTP", "hello\r\n\r\n", 400},
      {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n", 400},
      {"version", "GET /a HTTP/3.0\r\nHost: h\r\n\r\n", 400},
      {"no host", "GET /a HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"relative target", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"header without colon", "GET /a HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400},
      {"space before colon", "GET /a HTTP/1.1\r\nHost : h\r\n\r\n", 400},
      {"NUL in header", std::string("GET /a HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 36), 400},
      {"NUL in target", std::string("GET /\0a HTTP/1.1\r\nHost: h\r\n\r\n", 29), 400},
      {"long header", long_header, 431},
      {"many headers", many_headers, 431},
      {"long target", "GET /" + std::string(10'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {"longer target", "GET /" + std::string(40'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},
      {"large body", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\nabc", 413},
      {"large chunked body",
       "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(0x20000, 'a') +
           "\r\n0\r\n\r\n",
       413},
      {"huge chunk size", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
       400},
      {"bad chunk size", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
       400},
      {"negative length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", 400},
      {"two lengths", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
      {"length and chunks",
       "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks and length",
       "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
  };
  for (const auto& c : cases) {
    std::string answer = Talk(c.bytes);
    EXPECT_EQ(StatusOf(answer), c.status) << c.name << ": " << answer.substr(0, 300);
    auto body = nlohmann::json::parse(BodyOf(answer), nullptr, false);
    ASSERT_FALSE(body.is_discarded()) << c.name << answer;
    EXPECT_EQ(body["error"]["code"], c.status) << c.name;
    EXPECT_NE(answer.find("X-Request-Id: "), std::string::npos) << c.name;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << c.name;
  }
  EXPECT_EQ(handled_, 0);
  EXPECT_EQ(StatusOf(Talk("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")), 200);
  EXPECT_TRUE(Eventually([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, SlowHeadersAndBodiesAreCut) {
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Talk("GET /a HTTP/1.1\r\nHo", std::chrono::milliseconds(4000), false), "");
  EXPECT_EQ(
      Talk("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", std::chrono::milliseconds(4000), false), "");
  // A byte now and then does not help.
  asio::io_context io;
  tcp::socket drip(io);
  drip.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
  boost::system::error_code error;
  int sent = 0;
  for (; sent < 100 && !error; ++sent) {
    asio::write(drip, asio::buffer("GET /" + std::string(1, 'a'), sent == 0 ? 5 : 1), error);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (server_->connections() == 0) break;
  }
  EXPECT_LT(sent, 100);
  EXPECT_EQ(handled_, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
}

TEST_F(HttpServerTest, IdleConnectionsAreClosedSilently) {
  EXPECT_EQ(Talk("", std::chrono::milliseconds(3000), false), "");
  std::string answer = Talk("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", std::chrono::milliseconds(3000), false);
  EXPECT_EQ(StatusOf(answer), 200);
}

TEST_F(HttpServerTest, ExpectContinue) {
  std::string answer =
      Talk("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
  EXPECT_EQ(answer.substr(0, 25), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(BodyOf(answer.substr(25)), "POST /a  3");
}

TEST_F(HttpServerTest, ExceptionsBecomeErrorsAndTheConnectionGoesOn) {
  std::string answer =
      Talk("GET /throw HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(StatusOf(answer), 500);
  EXPECT_NE(answer.find("GET /a  0"), std::string::npos);
}

TEST_F(HttpServerTest, StreamsAreWrittenAsTheyComeAndEndWithTheirClient) {
  asio::io_context io;
  auto socket = std::make_unique<tcp::socket>(io);
  socket->connect({asio::ip::make_address("127.0.0.1"), server_->port()});
  asio::write(*socket, asio::buffer(std::string("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")));
  std::string got;
  char buffer[512];
  while (got.find("data: 3\n\n") == std::string::npos) {
    size_t n = socket->read_some(asio::buffer(buffer));
    got.append(buffer, n);
  }
  EXPECT_NE(got.find("Transfer-Encoding: chunked"), std::string::npos);
  EXPECT_EQ(ended_, 0);
  socket.reset();  // the client goes
  EXPECT_TRUE(Eventually([&] { return ended_ == 1; }));
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(Eventually([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, AfterAPauseTheAnswerComesAndTheConnectionGoesOn) {
  const auto start = std::chrono::steady_clock::now();
  // The second one is there already, and is not read meanwhile.
  const std::string answer =
      Talk("GET /pause HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
           std::chrono::milliseconds(10'000), /*finish=*/false);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(300));
  EXPECT_LT(answer.find("GET /pause"), answer.find("GET /a"));
  EXPECT_NE(answer.find("GET /a"), std::string::npos) << answer;
}

TEST_F(HttpServerTest, WhoGoesDuringThePauseIsLetGo) {
  {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    asio::write(socket, asio::buffer(std::string("GET /pause-long HTTP/1.1\r\nHost: h\r\n\r\n")));
    ASSERT_TRUE(Eventually([&] { return handled_ == 1; }));
  }
  EXPECT_TRUE(Eventually([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServerTest, ConnectionsBeyondTheLimitWaitForRoom) {
  asio::io_context io;
  std::list<tcp::socket> open;
  for (int i = 0; i < 50; ++i) {
    open.emplace_back(io).connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    // Not idle for longer than the server lets it be.
    asio::write(open.back(), asio::buffer(std::string("GET /pause-long HTTP/1.1\r\nHost: h\r\n\r\n")));
  }
  ASSERT_TRUE(Eventually([&] { return handled_ == 50; }));
  tcp::socket more(io);
  more.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
  asio::write(more, asio::buffer(std::string("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")));
  EXPECT_EQ(ReadAll(more, std::chrono::milliseconds(300)), "");
  open.pop_front();
  EXPECT_EQ(StatusOf(ReadAll(more, std::chrono::milliseconds(10'000))), 200);
}

TEST_F(HttpServerTest, DrainFinishesWhatIsUnderWay) {
  std::string answer;
  std::thread client(
      [&] { answer = Talk("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n", std::chrono::milliseconds(5000), false); });
  ASSERT_TRUE(Eventually([&] { return handled_ == 1; }));
  asio::co_spawn(io_, server_->Drain(std::chrono::seconds(3)), asio::use_future).get();
  client.join();
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_EQ(server_->connections(), 0u);
}

}  // namespace
}  // namespace crm::gateway
