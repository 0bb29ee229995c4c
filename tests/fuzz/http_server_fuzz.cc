// covers: services/gateway/http_server.cc
// What comes in at the public port: every request that is handed on is whole, and whatever comes, the answers are HTTP/1.1.
#include <absl/strings/match.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "services/gateway/http_error.h"
#include "services/gateway/http_server.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(http_server) {
  using namespace crm;
  namespace http = boost::beast::http;
  constexpr size_t kBodyMax = 1000;
  int ends[2];
  fuzz::Require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "there are sockets");
  asio::io_context loop(1);
  gateway::HttpServerOptions options;
  options.body_bytes_max = kBodyMax;
  int handled = 0, refused = 0;
  bool head = false;
  std::string broken;
  gateway::HttpServer server(
      options, {loop.get_executor()},
      [&](gateway::HttpRequest& request) -> asio::awaitable<gateway::HttpResponse> {
        ++handled;
        head = head || request.method == "HEAD";
        if (request.path != "*" && !absl::StartsWith(request.path, "/")) broken = "a path begins with a slash";
        if (request.path.find_first_of("? \r\n") != std::string::npos) broken = "a path is one";
        if (request.body.size() > kBodyMax) broken = "a body is not larger than allowed";
        if (request.request_id.empty()) broken = "every request has a number";
        gateway::HttpResponse response;
        response.body = std::to_string(request.body.size());
        co_return response;
      },
      [&](gateway::HttpRequest& request, absl::Status status, unsigned code) {
        ++refused;
        head = head || request.method == "HEAD";
        return gateway::ErrorResponse(status, request.request_id, code);
      });
  asio::ip::tcp::socket socket(loop);
  socket.assign(asio::ip::tcp::v4(), ends[0]);
  server.Serve(std::move(socket));
  for (absl::string_view rest = input.Rest(); !rest.empty();) {
    const ssize_t sent = send(ends[1], rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  shutdown(ends[1], SHUT_WR);
  loop.run();
  std::string said;
  char buffer[4096];
  for (ssize_t got; (got = recv(ends[1], buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
    said.append(buffer, static_cast<size_t>(got));
  }
  close(ends[1]);
  fuzz::Require(broken.empty(), broken);
  fuzz::Require(refused <= 1, "after what cannot be read nothing is");
  if (head) return;  // where their answers end only the client knows
  int answers = 0;
  for (absl::string_view rest = said; !rest.empty();) {
    if (absl::StartsWith(rest, "HTTP/1.1 100 Continue\r\n\r\n")) {
      rest.remove_prefix(25);
      continue;
    }
    http::response_parser<http::string_body> parser;
    parser.eager(true);
    boost::beast::error_code error;
    const size_t taken = parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
    fuzz::Require(!error && parser.is_done(), "answers are HTTP", rest);
    rest.remove_prefix(taken);
    ++answers;
  }
  fuzz::Require(answers == handled + refused, "every request has one answer", said);
}
