// HTTP/1.1 on Boost.Beast: connections, limits, timeouts, streams. It knows nothing of routes or rpcs.
//
// Limits: headers 16 KiB (431), target 8 KiB (414), body as configured (413). Timeouts: 10 s for the headers from their
// first byte, 30 s for the body, 60 s idle between requests, 60 s for a client to take an answer, 30 s for one write of
// a stream; then the connection is closed without a word: its client is not listening. Pipelined requests are answered
// one after the other, in order. An answer with a pause is said after it; meanwhile nothing is read, and a client that
// closes its side has gone. Connections beyond their limit are not accepted until there is room. After a request that
// cannot be read the connection is closed, because where the next one begins is unknown.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/gateway/http.h"

namespace crm::gateway {

struct HttpServerOptions {
  std::string listen;  // "127.0.0.1:8080", "[::]:8080"; port 0 takes a free one
  size_t body_bytes_max = 4 << 20;
  size_t connections_max = 10000;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};
  std::chrono::milliseconds stream_write_timeout{30'000};
};

class HttpServer {
 public:
  // Answers one request; runs on the connection's loop. An exception becomes an answer through `refuse`.
  using Handle = std::function<asio::awaitable<HttpResponse>(HttpRequest&)>;
  // Makes the answer to a request that could not be read (its fields hold what was), or that `handle` failed on.
  using Refuse = std::function<HttpResponse(HttpRequest&, absl::Status, unsigned http_status)>;

  HttpServer(HttpServerOptions options, std::vector<asio::any_io_executor> loops, Handle handle, Refuse refuse);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;

  // Binds and starts to accept; connections are spread over the loops.
  absl::Status Listen();
  // Serves a connection that was accepted elsewhere, on its socket's loop.
  void Serve(asio::ip::tcp::socket socket);
  uint16_t port() const;
  size_t connections() const;

  // Stops accepting, tells streams to end, closes idle connections and waits until the requests under way are answered,
  // at most `grace`; then closes what is left.
  asio::awaitable<void> Drain(std::chrono::milliseconds grace);

  struct Shared;  // what connections keep alive; defined where they are

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace crm::gateway
