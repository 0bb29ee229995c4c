// What the gateway's parts say to each other: one HTTP request, one answer. Neither knows sockets.
#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/verb.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/async.h"

namespace crm::gateway {

namespace http = boost::beast::http;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // raw, before percent-decoding
  std::string query;   // raw, without the question mark
  http::fields headers;
  std::string body;
  std::string peer;  // the client's address, without its port
  std::string request_id;
  std::chrono::steady_clock::time_point start;

  std::string_view Header(std::string_view name) const {
    auto it = headers.find(boost::beast::string_view(name.data(), name.size()));
    return it == headers.end() ? std::string_view() : std::string_view(it->value().data(), it->value().size());
  }
  // True if there is more than one of that name.
  bool Repeats(std::string_view name) const {
    return headers.count(boost::beast::string_view(name.data(), name.size())) > 1;
  }
  // The value of a cookie, empty if absent.
  std::string_view Cookie(std::string_view name) const;
};

// Where a streaming answer goes. Write waits until the transport took the text; it fails when the client has gone or
// does not read (then the stream ends). `closed` turns true as soon as the client goes.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  virtual Async<> Write(std::string text) = 0;
  virtual bool closed() const = 0;
  virtual asio::any_io_executor executor() = 0;  // the connection's loop
  // Called once, on the connection's loop, when the client goes or the server drains.
  virtual void OnClose(std::function<void()> listener) = 0;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // If set, the answer is a stream: the headers go out, then this runs until it returns. `body` is not used.
  std::function<asio::awaitable<void>(StreamSink&)> stream;
  // How many bytes the stream writes, if that is known; otherwise it goes out in chunks.
  std::optional<uint64_t> content_length;
  // What the log line and the metrics call this request by: an rpc's name or a route of the gateway's own.
  std::string route;
  // Which HTTP status they count, where the form says it otherwise (gRPC-Web is always 200); 0: `status`.
  unsigned counted_as = 0;
  std::string tenant_id;
  // A refusal because of too much: it has no log line of its own, and is said after this pause, unless its client goes.
  bool overloaded = false;
  std::chrono::milliseconds pause{0};

  void Set(std::string name, std::string value) { headers.emplace_back(std::move(name), std::move(value)); }
};

}  // namespace crm::gateway
