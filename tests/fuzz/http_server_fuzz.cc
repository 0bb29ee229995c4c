// covers: services/gateway/http_server.cc#Explain,Malformed,IsRequestId,One,Take,FillRequestId,Last,Cookie,IsHttpError
// What comes in at the public port: every request that is handed on is whole, and whatever comes, the answers are HTTP/1.1.
#include <absl/strings/match.h>

#include <boost/asio/io_context.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "services/gateway/http_error.h"
#include "services/gateway/http_server.h"
#include "tests/fuzz/sockets.h"

CRM_FUZZ(http_server) {
  using namespace crm;
  namespace http = boost::beast::http;
  constexpr size_t kBodyMax = 1000;
  asio::io_context loop(1);
  fuzz::Peer peer;
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
  server.Serve(peer.Socket(loop));
  peer.Say(input.Rest());
  peer.Hush();
  loop.run();
  const std::string said = peer.Heard();
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
