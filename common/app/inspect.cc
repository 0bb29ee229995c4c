#include "common/app/inspect.h"

#include <absl/strings/str_cat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "common/base/listen.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/obs/metrics.h"

namespace crm::app {
namespace inspect_internal {

namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;

constexpr auto kIdle = std::chrono::seconds(30);
constexpr auto kPause = std::chrono::milliseconds(100);
constexpr uint32_t kHeaderBytesMax = 8 << 10;

}  // namespace inspect_internal

namespace ins = inspect_internal;

struct Inspect::Impl : std::enable_shared_from_this<Inspect::Impl> {
  Impl(InspectOptions o, asio::any_io_executor l, OffloadPool& p)
      : options(std::move(o)), loop(std::move(l)), pool(p) {}

  static asio::awaitable<void> Accept(std::shared_ptr<Impl> self) {
    for (;;) {
      boost::system::error_code error;
      auto socket = co_await self->acceptor->async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
      if (error) {  // out of descriptors, most likely: wait for some to be given back
        asio::steady_timer pause(self->loop, ins::kPause);
        co_await pause.async_wait(asio::use_awaitable);
        continue;
      }
      if (self->connections >= kConnectionsMax) continue;  // the socket closes by itself
      ++self->connections;
      asio::co_spawn(self->loop, Talk(self, ins::beast::tcp_stream(std::move(socket))), asio::detached);
    }
  }

  static asio::awaitable<void> Talk(std::shared_ptr<Impl> self, ins::beast::tcp_stream stream) {
    struct Leave {
      Impl& impl;
      ~Leave() { --impl.connections; }
    } leave{*self};
    ins::beast::flat_buffer buffer(ins::kHeaderBytesMax);
    boost::system::error_code error;
    for (bool more = true; more && !error;) {
      stream.expires_after(ins::kIdle);
      ins::http::request_parser<ins::http::empty_body> parser;
      parser.header_limit(ins::kHeaderBytesMax);
      co_await ins::http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
      auto response = co_await self->Answer(parser.get());
      more = response.keep_alive();
      co_await ins::http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
    }
    stream.socket().shutdown(ins::Tcp::socket::shutdown_both, error);
  }

  using Response = ins::http::response<ins::http::string_body>;

  asio::awaitable<Response> Answer(const ins::http::request<ins::http::empty_body>& request) {
    Response response(ins::http::status::ok, request.version());
    response.set(ins::http::field::content_type, "text/plain; charset=utf-8");
    response.keep_alive(request.keep_alive());
    const auto target = request.target().substr(0, request.target().find('?'));
    auto check = [&](const std::string& why) {
      if (!why.empty()) response.result(ins::http::status::service_unavailable);
      response.body() = why.empty() ? "ok\n" : why + "\n";
    };
    if (request.method() != ins::http::verb::get && request.method() != ins::http::verb::head) {
      response.result(ins::http::status::method_not_allowed);
      response.set(ins::http::field::allow, "GET, HEAD");
      response.body() = "Only GET is offered here.\n";
    } else if (target == "/metrics") {
      response.set(ins::http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
      // Thousands of lines: not on the loop.
      const absl::Status ran = co_await pool.Run([&] { response.body() = obs::Exposition(); });
      if (!ran.ok()) check(std::string(ran.message()));
    } else if (target == "/livez") {
      check(options.live());
    } else if (target == "/readyz") {
      check(options.ready());
    } else {
      response.result(ins::http::status::not_found);
      response.body() = "Here are /metrics, /livez and /readyz.\n";
    }
    if (request.method() == ins::http::verb::head) response.body().clear();
    response.prepare_payload();
    co_return response;
  }

  const InspectOptions options;
  const asio::any_io_executor loop;
  std::unique_ptr<ins::Tcp::acceptor> acceptor;
  OffloadPool& pool;
  int connections = 0;  // on the loop
  int port = 0;
};

Inspect::Inspect(InspectOptions options, asio::any_io_executor loop, OffloadPool& pool)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(loop), pool)) {}

Inspect::~Inspect() = default;

int Inspect::port() const { return impl_->port; }

absl::Status Inspect::Start() {
  auto& impl = *impl_;
  CRM_TRY(impl.acceptor, ListenOn(impl.loop, absl::StrCat(impl.options.listen.host, ":", impl.options.listen.port)));
  impl.port = impl.acceptor->local_endpoint().port();
  asio::co_spawn(impl.loop, Impl::Accept(impl_), asio::detached);
  return absl::OkStatus();
}

}  // namespace crm::app
