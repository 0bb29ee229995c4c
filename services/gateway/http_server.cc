#include "services/gateway/http_server.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <mutex>
#include <set>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/listen.h"
#include "common/base/status.h"

namespace crm::gateway {

namespace beast = boost::beast;
using tcp = asio::ip::tcp;

std::string_view HttpRequest::Cookie(std::string_view name) const {
  // RFC 6265, 5.4: "a=1; b=2".
  std::string_view rest = Header("Cookie");
  while (!rest.empty()) {
    size_t end = rest.find(';');
    std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
    size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
  }
  return {};
}

namespace http_server {

constexpr size_t kHeaderBytesMax = 16 << 10;
constexpr size_t kTargetBytesMax = 8 << 10;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

class Connection;

// What an unreadable request is told: HTTP status and error.
struct Unreadable {
  unsigned http_status;
  absl::Status status;
};

Unreadable Explain(beast::error_code error, const HttpServerOptions& options) {
  using absl::StatusCode;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431,
            Error(StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                  absl::StrCat("the headers are larger than ", kHeaderBytesMax, " bytes: send fewer or shorter ones"),
                  {{"limit", absl::StrCat(kHeaderBytesMax)}})};
  }
  if (error == http::error::body_limit) {
    return {413, Error(StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                       absl::StrCat("the body is larger than ", options.body_bytes_max, " bytes: send it in parts"),
                       {{"limit", absl::StrCat(options.body_bytes_max)}})};
  }
  return {400, Error(StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID,
                     absl::StrCat("this is no readable HTTP/1.1 request: ", error.message()))};
}

Unreadable LongTarget() {
  return {414,
          Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_TOO_LARGE,
                absl::StrCat("the address is longer than ", kTargetBytesMax, " bytes: use the :search form of lists"),
                {{"limit", absl::StrCat(kTargetBytesMax)}})};
}
Unreadable Malformed(std::string text) {
  return {400, Error(absl::StatusCode::kInvalidArgument, type::v1::ERROR_REASON_BODY_INVALID, std::move(text))};
}

bool IsRequestId(std::string_view text) {
  if (text.empty() || text.size() > 100) return false;
  for (char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
          c == '.' || c == ':')) {
      return false;
    }
  }
  return true;
}

// The Date header (RFC 9110, 6.6.1), made once a second and thread.
const std::string& HttpDate() {
  thread_local std::time_t made = 0;
  thread_local std::string text;
  const std::time_t now = absl::ToTimeT(Now());
  if (now != made) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    char buffer[40];
    text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &parts));
    made = now;
  }
  return text;
}

}  // namespace http_server

struct HttpServer::Shared : std::enable_shared_from_this<HttpServer::Shared> {
  HttpServerOptions options;
  std::vector<asio::any_io_executor> loops;
  Handle handle;
  Refuse refuse;
  std::unique_ptr<tcp::acceptor> acceptor;
  std::atomic<bool> draining{false};
  std::mutex mutex;
  std::set<http_server::Connection*> open;  // each removes itself when it ends; guarded by mutex

  size_t Count() {
    std::lock_guard lock(mutex);
    return open.size();
  }
  asio::awaitable<void> Accept();
  void Serve(tcp::socket socket);
};

namespace http_server {

// One client's connection: one coroutine on one loop from the first byte to the close.
class Connection final : public StreamSink, public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<HttpServer::Shared> server)
      : stream_(std::move(socket)), server_(std::move(server)) {
    beast::error_code ignored;
    auto endpoint = stream_.socket().remote_endpoint(ignored);
    peer_ = endpoint.address().to_string();
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    std::lock_guard lock(server_->mutex);
    server_->open.insert(this);
  }
  ~Connection() override {
    std::lock_guard lock(server_->mutex);
    server_->open.erase(this);
  }

  asio::any_io_executor executor() override { return stream_.get_executor(); }
  // On the connection's loop: a stream is told to end, a request goes on, and an idle connection closes when what its
  // client may just have sent has had time to arrive and be answered.
  void Drain() {
    if (streaming_) MarkClosed();
    if (idle_) asio::co_spawn(stream_.get_executor(), CloseIfIdle(shared_from_this()), asio::detached);
  }
  void Close() { stream_.close(); }

  asio::awaitable<void> Run(std::shared_ptr<Connection> self) {
    try {
      while (co_await One()) {
      }
    } catch (const std::exception&) {
      // Nothing but running out of memory ends here; the connection is the unit that is given up.
    }
    MarkClosed();
    stream_.close();
    (void)self;
  }

  // ---- StreamSink ----
  bool closed() const override { return closed_; }
  void OnClose(std::function<void()> listener) override {
    if (closed_) return listener();
    on_close_ = std::move(listener);
  }
  Async<> Write(std::string text) override {
    if (closed_) co_return absl::CancelledError("the client has gone");
    if (text.empty()) co_return absl::OkStatus();
    stream_.expires_after(server_->options.stream_write_timeout);
    beast::error_code error;
    if (chunked_) {
      auto [e, n] = co_await asio::async_write(stream_, http::make_chunk(asio::buffer(text)), kToken);
      error = e;
    } else {
      auto [e, n] = co_await asio::async_write(stream_, asio::buffer(text), kToken);
      error = e;
    }
    stream_.expires_never();
    if (error) {
      MarkClosed();
      co_return absl::CancelledError("the client does not read");
    }
    co_return absl::OkStatus();
  }

 private:
  // Reads and answers one request. False: the connection is over.
  asio::awaitable<bool> One() {
    const auto& options = server_->options;
    // Idle until the next request's first byte.
    if (buffer_.size() == 0) {
      if (server_->draining) co_return false;
      idle_ = true;
      stream_.expires_after(options.idle_timeout);
      auto [error, bytes] = co_await stream_.async_read_some(buffer_.prepare(8 << 10), kToken);
      idle_ = false;
      if (error) co_return false;
      buffer_.commit(bytes);
    }
    HttpRequest request;
    request.start = std::chrono::steady_clock::now();
    request.peer = peer_;

    http::request_parser<http::string_body> parser;
    parser.header_limit(kHeaderBytesMax);
    parser.body_limit(options.body_bytes_max);
    stream_.expires_after(options.header_timeout);
    auto [error, header_bytes] = co_await http::async_read_header(stream_, buffer_, parser, kToken);
    if (error == http::error::end_of_stream) co_return false;
    if (error && !IsHttpError(error)) co_return false;
    Take(request, parser);
    if (error) co_return co_await RefuseUnread(request, parser, error);
    http_11_ = parser.get().version() >= 11;
    if (request.path.size() + request.query.size() > kTargetBytesMax) co_return co_await Last(request, LongTarget());
    if (request.path.empty()) {
      co_return co_await Last(request, Malformed("the request's target must be a path that begins with /"));
    }
    if (http_11_ && request.headers.count(http::field::host) != 1) {
      co_return co_await Last(request, Malformed("the request must have exactly one Host header"));
    }
    stream_.expires_after(options.body_timeout);
    if (!parser.is_done()) {
      if (beast::iequals(request.headers[http::field::expect], "100-continue")) {
        auto [e, n] = co_await asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()), kToken);
        if (e) co_return false;
      }
      auto [e, n] = co_await http::async_read(stream_, buffer_, parser, kToken);
      if (IsHttpError(e)) co_return co_await RefuseUnread(request, parser, e);
      if (e) co_return false;
    }
    request.body = std::move(parser.get().body());
    bool keep = parser.keep_alive();
    bool head = request.method == "HEAD";
    stream_.expires_never();

    HttpResponse response = co_await Answer(request);
    if (response.pause.count() > 0 && !co_await Pause(response.pause)) co_return false;
    if (response.stream && !head) {
      co_await RunStream(request, response);
      co_return false;
    }
    if (server_->draining) keep = false;
    co_return co_await Send(request, std::move(response), keep, head) && keep;
  }

  // Says nothing and reads nothing for so long. False: the client has gone.
  asio::awaitable<bool> Pause(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    auto pausing = std::make_shared<bool>(true);
    asio::steady_timer timer(stream_.get_executor(), until);
    timer.async_wait([this, pausing](beast::error_code) {
      if (*pausing) stream_.socket().cancel();
    });
    co_await stream_.socket().async_wait(tcp::socket::wait_read, kToken);
    *pausing = false;
    if (std::chrono::steady_clock::now() >= until) co_return true;
    // It has gone, unless it sends its next request already.
    char next = 0;
    beast::error_code error;
    const size_t size = stream_.socket().receive(asio::buffer(&next, 1), tcp::socket::message_peek, error);
    if (error || size == 0) co_return false;
    asio::steady_timer rest(stream_.get_executor(), until);
    co_await rest.async_wait(kToken);
    co_return true;
  }

  asio::awaitable<HttpResponse> Answer(HttpRequest& request) {
    std::string what;
    try {
      co_return co_await server_->handle(request);
    } catch (const std::exception& e) {
      what = e.what();
    }
    co_return server_->refuse(request, absl::InternalError(what), 500);
  }

  static bool IsHttpError(beast::error_code error) {
    static const auto& category = beast::error_code(http::error::bad_method).category();
    return error && error.category() == category && error != http::error::partial_message &&
           error != http::error::end_of_stream;
  }

  // Copies what has been read of the head.
  void Take(HttpRequest& request, http::request_parser<http::string_body>& parser) {
    auto& message = parser.get();
    request.method = std::string(message.method_string());
    std::string_view target(message.target().data(), message.target().size());
    // absolute-form (RFC 9112, 3.2.2)
    for (std::string_view scheme : {"http://", "https://"}) {
      if (target.substr(0, scheme.size()) == scheme) {
        size_t slash = target.find('/', scheme.size());
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
      }
    }
    size_t question = target.find('?');
    std::string_view path = target.substr(0, question);
    if ((!path.empty() && path[0] == '/') || path == "*") request.path = std::string(path);
    if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
    request.headers = std::move(static_cast<http::fields&>(message.base()));
    // The parser has taken what it needs to know of the body from the headers.
    auto given = request.Header("X-Request-Id");
    request.request_id = IsRequestId(given) ? std::string(given) : "";
    FillRequestId(request);
  }
  static void FillRequestId(HttpRequest& request) {
    if (request.request_id.empty()) request.request_id = NewId("req", Now());
  }

  // Answers a request that could not be read, and closes.
  asio::awaitable<bool> RefuseUnread(HttpRequest& request, http::request_parser<http::string_body>& parser,
                                     beast::error_code error) {
    if (request.method.empty() && parser.is_header_done()) Take(request, parser);
    FillRequestId(request);
    co_return co_await Last(request, Explain(error, server_->options));
  }

  // Sends an answer after which the connection closes, and lets the client finish sending, so that the answer is not
  // lost to a reset (RFC 9112, 9.6).
  asio::awaitable<bool> Last(HttpRequest& request, Unreadable why) {
    constexpr size_t kLingerBytes = 8 << 20;
    constexpr auto kLinger = std::chrono::seconds(2);
    HttpResponse response = server_->refuse(request, why.status, why.http_status);
    if (!co_await Send(request, std::move(response), false, request.method == "HEAD")) co_return false;
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kLinger);
    std::vector<char> sink(64 << 10);
    size_t total = 0;
    while (total < kLingerBytes) {
      auto [error, bytes] = co_await stream_.async_read_some(asio::buffer(sink), kToken);
      if (error) break;
      total += bytes;
    }
    co_return false;
  }

  template <typename Message>
  void Head(Message& message, const HttpRequest& request, const HttpResponse& response) {
    message.set(http::field::date, HttpDate());
    if (!response.content_type.empty() && response.status != 204 && response.status != 304) {
      message.set(http::field::content_type, response.content_type);
    }
    for (const auto& [name, value] : response.headers) {
      message.insert(boost::string_view(name.data(), name.size()), boost::string_view(value.data(), value.size()));
    }
    message.set("X-Request-Id", request.request_id);
  }

  asio::awaitable<bool> Send(const HttpRequest& request, HttpResponse response, bool keep, bool head) {
    stream_.expires_after(server_->options.write_timeout);
    http::response<http::string_body> message(static_cast<http::status>(response.status), 11);
    Head(message, request, response);
    bool no_body = response.status == 204 || response.status == 304;
    message.keep_alive(keep);
    if (!no_body) message.content_length(response.content_length.value_or(response.body.size()));
    if (!head && !no_body) message.body() = std::move(response.body);
    http::response_serializer<http::string_body> serializer(message);
    auto [error, bytes] = co_await http::async_write(stream_, serializer, kToken);
    stream_.expires_never();
    co_return !error;
  }

  asio::awaitable<void> RunStream(const HttpRequest& request, HttpResponse& response) {
    http::response<http::empty_body> message(static_cast<http::status>(response.status), 11);
    Head(message, request, response);
    message.keep_alive(false);
    chunked_ = http_11_ && !response.content_length;
    if (chunked_) message.chunked(true);
    if (response.content_length) message.content_length(*response.content_length);
    http::response_serializer<http::empty_body> serializer(message);
    stream_.expires_after(server_->options.write_timeout);
    auto [error, bytes] = co_await http::async_write_header(stream_, serializer, kToken);
    stream_.expires_never();
    if (error) co_return;
    streaming_ = true;
    asio::co_spawn(stream_.get_executor(), Watch(shared_from_this()), asio::detached);
    co_await response.stream(*this);
    streaming_ = false;
    if (chunked_ && !failed_) {
      stream_.expires_after(std::chrono::seconds(2));
      co_await asio::async_write(stream_, http::make_chunk_last(), kToken);
    }
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  }

  // A client that listens to a stream has nothing to say: whatever becomes readable is its going.
  static asio::awaitable<void> Watch(std::shared_ptr<Connection> self) {
    std::array<char, 512> sink;
    while (true) {
      auto [error, bytes] = co_await self->stream_.socket().async_read_some(asio::buffer(sink), kToken);
      if (error) break;
    }
    self->failed_ = self->streaming_;
    self->MarkClosed();
  }

  static asio::awaitable<void> CloseIfIdle(std::shared_ptr<Connection> self) {
    constexpr auto kLastRequest = std::chrono::milliseconds(500);
    asio::steady_timer timer(self->stream_.get_executor(), kLastRequest);
    co_await timer.async_wait(kToken);
    if (self->idle_) self->stream_.close();
  }

  void MarkClosed() {
    if (closed_) return;
    closed_ = true;
    if (auto listener = std::move(on_close_)) listener();
  }

  beast::tcp_stream stream_;
  std::shared_ptr<HttpServer::Shared> server_;
  beast::flat_buffer buffer_;
  std::string peer_;
  std::function<void()> on_close_;
  bool idle_ = false, streaming_ = false, closed_ = false, failed_ = false, chunked_ = false, http_11_ = true;
};

}  // namespace http_server

// How often is looked whether there is room for connections again.
constexpr auto kFullPause = std::chrono::milliseconds(20);

asio::awaitable<void> HttpServer::Shared::Accept() {
  auto self = shared_from_this();
  size_t next = 0;
  while (!draining) {
    auto& loop = loops[next++ % loops.size()];
    // Beyond the limit clients wait in the kernel's queue: to be closed at once, they would only come again.
    while (Count() >= options.connections_max && !draining) {
      asio::steady_timer pause(acceptor->get_executor(), kFullPause);
      co_await pause.async_wait(http_server::kToken);
    }
    auto [error, socket] = co_await acceptor->async_accept(loop, http_server::kToken);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor || draining) co_return;
    if (error) {
      // Out of descriptors, most likely: wait for some to be given back instead of turning in a circle.
      asio::steady_timer pause(acceptor->get_executor(), std::chrono::milliseconds(100));
      co_await pause.async_wait(http_server::kToken);
      continue;
    }
    Serve(std::move(socket));
  }
}

void HttpServer::Shared::Serve(tcp::socket socket) {
  if (Count() >= options.connections_max) return;  // the socket closes
  const auto loop = socket.get_executor();
  auto connection = std::make_shared<http_server::Connection>(std::move(socket), shared_from_this());
  auto* raw = connection.get();
  asio::co_spawn(loop, raw->Run(std::move(connection)), asio::detached);
}

HttpServer::HttpServer(HttpServerOptions options, std::vector<asio::any_io_executor> loops, Handle handle,
                       Refuse refuse)
    : shared_(std::make_shared<Shared>()) {
  shared_->options = std::move(options);
  shared_->loops = std::move(loops);
  shared_->handle = std::move(handle);
  shared_->refuse = std::move(refuse);
}

HttpServer::~HttpServer() = default;

absl::Status HttpServer::Listen() {
  CRM_TRY(shared_->acceptor, ListenOn(shared_->loops[0], shared_->options.listen));
  asio::co_spawn(shared_->loops[0], shared_->Accept(), asio::detached);
  return absl::OkStatus();
}

void HttpServer::Serve(tcp::socket socket) { shared_->Serve(std::move(socket)); }

uint16_t HttpServer::port() const {
  beast::error_code error;
  auto endpoint = shared_->acceptor->local_endpoint(error);
  return error ? 0 : endpoint.port();
}

size_t HttpServer::connections() const { return shared_->Count(); }

asio::awaitable<void> HttpServer::Drain(std::chrono::milliseconds grace) {
  auto shared = shared_;
  shared->draining = true;
  asio::post(shared->loops[0], [shared] {
    beast::error_code ignored;
    if (shared->acceptor) shared->acceptor->close(ignored);
  });
  // A connection is told on its own loop; `weak` because it may end before that.
  auto each = [shared](void (http_server::Connection::*tell)()) {
    std::lock_guard lock(shared->mutex);
    for (auto* connection : shared->open) {
      asio::post(connection->executor(), [weak = connection->weak_from_this(), tell] {
        if (auto alive = weak.lock()) ((*alive).*tell)();
      });
    }
  };
  each(&http_server::Connection::Drain);
  auto until = std::chrono::steady_clock::now() + grace;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  auto wait = [&] {
    timer.expires_after(std::chrono::milliseconds(20));
    return timer.async_wait(http_server::kToken);
  };
  while (shared->Count() > 0 && std::chrono::steady_clock::now() < until) co_await wait();
  each(&http_server::Connection::Close);
  for (int i = 0; i < 50 && shared->Count() > 0; ++i) co_await wait();
}

}  // namespace crm::gateway
