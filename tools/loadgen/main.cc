// crm-loadgen: sends requests to a service (gRPC over mTLS with a token) or the gateway (HTTP/1.1, kept connections) in
// a closed loop, a fixed number in flight, and prints counts and latencies as JSON. To this machine only, and never
// without an end.
//
//   crm-loadgen --requests=FILE --token-file=FILE [--in-flight=16] [--seconds=5] [--count=N] [--order=random|sequence]
//     gRPC: --grpc=127.0.0.1:7102 --peer=contact --ca=FILE --cert=FILE --key=FILE [--connections=1]
//     HTTP: --http=127.0.0.1:8080
//
// The requests are those of requests.h; `random` draws from them with the same seed each time, `sequence` takes them in
// order and starts anew at the end. Exit code 0 also when requests were refused: the report says so.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <sstream>

#include "common/base/id.h"
#include "common/obs/trace.h"
#include "common/rpc/client.h"
#include "common/rpc/metadata.h"
#include "tools/loadgen/report.h"
#include "tools/loadgen/requests.h"

namespace crm::loadgen {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;
using tcp = asio::ip::tcp;

constexpr int kInFlightMax = 1024;
constexpr int kSecondsMax = 600;
constexpr int64_t kCountMax = 20'000'000;  // each answer's time is kept: 4 bytes
constexpr auto kDeadline = std::chrono::seconds(10);
constexpr size_t kAnswerBytesMax = 16 << 20;

struct Options {
  std::string requests, token_file, grpc, peer, ca, cert, key, http;
  int in_flight = 16;
  int connections = 1;
  int seconds = 5;
  int64_t count = kCountMax;
  bool random = true;
};

absl::Status Wrong(absl::string_view text) { return absl::InvalidArgumentError(text); }

absl::StatusOr<Options> OptionsOf(int argc, char** argv) {
  Options out;
  std::string order = "random";
  const std::map<std::string, std::string*> texts = {{"requests", &out.requests},
                                                     {"token-file", &out.token_file},
                                                     {"grpc", &out.grpc},
                                                     {"peer", &out.peer},
                                                     {"ca", &out.ca},
                                                     {"cert", &out.cert},
                                                     {"key", &out.key},
                                                     {"http", &out.http},
                                                     {"order", &order}};
  const std::map<std::string, int*> numbers = {
      {"in-flight", &out.in_flight}, {"connections", &out.connections}, {"seconds", &out.seconds}};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    if (!absl::StartsWith(argument, "--") || equals == std::string::npos) {
      return Wrong(absl::StrCat(argument, ": arguments have the form --name=value"));
    }
    const std::string name = argument.substr(2, equals - 2), value = argument.substr(equals + 1);
    if (auto text = texts.find(name); text != texts.end()) {
      *text->second = value;
    } else if (auto number = numbers.find(name); number != numbers.end()) {
      if (!absl::SimpleAtoi(value, number->second)) return Wrong(absl::StrCat("--", name, " is no number"));
    } else if (name == "count") {
      if (!absl::SimpleAtoi(value, &out.count)) return Wrong("--count is no number");
    } else {
      return Wrong(absl::StrCat("there is no --", name));
    }
  }
  const auto within = [](int64_t value, int64_t max) { return value >= 1 && value <= max; };
  if (!within(out.in_flight, kInFlightMax)) return Wrong(absl::StrCat("--in-flight goes from 1 to ", kInFlightMax));
  if (!within(out.connections, out.in_flight)) return Wrong("--connections goes from 1 to --in-flight");
  if (!within(out.seconds, kSecondsMax)) return Wrong(absl::StrCat("--seconds goes from 1 to ", kSecondsMax));
  if (!within(out.count, kCountMax)) return Wrong(absl::StrCat("--count goes from 1 to ", kCountMax));
  if (order != "random" && order != "sequence") return Wrong("--order is random or sequence");
  out.random = order == "random";
  if (out.requests.empty()) return Wrong("--requests names no file");
  return out;
}

// "127.0.0.1:7102"; nothing but this machine is ever put under load.
absl::StatusOr<tcp::endpoint> Loopback(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  boost::system::error_code error;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return Wrong(absl::StrCat("\"", address, "\" is no address of the form 127.0.0.1:7102"));
  }
  const auto host = asio::ip::make_address(address.substr(0, colon), error);
  if (error || !host.is_loopback()) return Wrong(absl::StrCat(address, " is not this machine: use 127.0.0.1"));
  return tcp::endpoint(host, static_cast<uint16_t>(port));
}

absl::StatusOr<std::string> TokenOf(const std::string& file) {
  if (file.empty()) return std::string();
  std::ifstream in(file);
  std::string token;
  if (!(in >> token)) return absl::NotFoundError(absl::StrCat(file, " has no token"));
  return token;
}

// Which request comes next, and whether there is a next one. On the loop only.
class Schedule {
 public:
  Schedule(const Options& options, const Requests& requests)
      : requests_(requests),
        left_(options.count),
        random_(options.random),
        end_(Clock::now() + std::chrono::seconds(options.seconds)) {}

  const Request* Next() {
    if (left_ == 0 || Clock::now() >= end_) return nullptr;
    --left_;
    const size_t size = requests_.all.size();
    if (random_) return &requests_.all[std::uniform_int_distribution<size_t>(0, size - 1)(engine_)];
    return &requests_.all[place_++ % size];
  }

 private:
  const Requests& requests_;
  int64_t left_;
  const bool random_;
  const Clock::time_point end_;
  size_t place_ = 0;
  std::mt19937_64 engine_{1};
};

// ---- gRPC ----

rpc::RawCall CallOf(const Request& request, const std::string& token) {
  rpc::RawCall call;
  call.method = request.method;
  call.request = request.body;
  // What a neighbour sends with each call.
  if (!token.empty()) call.metadata.emplace_back(rpc::kAuthorizationMetadata, absl::StrCat("Bearer ", token));
  call.metadata.emplace_back(rpc::kRequestIdMetadata, NewUuid(absl::Now()).ToString());
  call.metadata.emplace_back(rpc::kTraceparentMetadata, obs::ChildTraceparent(""));
  call.metadata.emplace_back(rpc::kLanguageMetadata, "en");
  call.metadata.emplace_back(rpc::kTimeZoneMetadata, "UTC");
  call.deadline = Clock::now() + kDeadline;
  return call;
}

asio::awaitable<void> SendGrpc(rpc::Client& client, const std::string& token, Schedule& schedule, Report& report) {
  while (const Request* request = schedule.Next()) {
    const auto start = Clock::now();
    auto answer = co_await client.UnaryRaw(CallOf(*request, token));
    const auto time = Clock::now() - start;
    if (answer.ok()) {
      report.Add(*request, time);
    } else {
      report.Add(*request, time, absl::StatusCodeToString(answer.status().code()),
                 std::string(answer.status().message()));
    }
  }
}

// ---- HTTP ----

// One kept connection.
class HttpClient {
 public:
  HttpClient(asio::any_io_executor executor, tcp::endpoint endpoint, const std::string& token)
      : executor_(std::move(executor)), endpoint_(endpoint), token_(token) {}

  struct Answer {
    unsigned status = 0;  // 0: none came
    std::string text;     // of an error
  };
  asio::awaitable<Answer> Send(const Request& request) {
    constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
    if (!stream_) {
      stream_.emplace(executor_);
      auto [error] = co_await stream_->async_connect(endpoint_, kToken);
      if (error) co_return Lost(error);
      stream_->socket().set_option(tcp::no_delay(true));
    }
    http::request<http::string_body> message(http::string_to_verb(request.verb), request.path, 11);
    message.set(http::field::host, "127.0.0.1");
    if (!token_.empty()) message.set(http::field::authorization, absl::StrCat("Bearer ", token_));
    if (!request.body.empty()) {
      message.set(http::field::content_type, "application/json");
      message.body() = request.body;
    }
    message.prepare_payload();
    stream_->expires_after(kDeadline);
    auto [write_error, written] = co_await http::async_write(*stream_, message, kToken);
    if (write_error) co_return Lost(write_error);
    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerBytesMax);
    auto [read_error, read] = co_await http::async_read(*stream_, buffer_, parser, kToken);
    if (read_error) co_return Lost(read_error);
    Answer answer{parser.get().result_int(), ""};
    if (answer.status >= 300) answer.text = parser.get().body();
    if (!parser.keep_alive()) stream_.reset();
    co_return answer;
  }

 private:
  Answer Lost(beast::error_code error) {
    stream_.reset();
    buffer_.clear();
    return {0, error.message()};
  }
  asio::any_io_executor executor_;
  const tcp::endpoint endpoint_;
  const std::string& token_;
  std::optional<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
};

asio::awaitable<void> SendHttp(HttpClient& client, Schedule& schedule, Report& report) {
  while (const Request* request = schedule.Next()) {
    const auto start = Clock::now();
    const HttpClient::Answer answer = co_await client.Send(*request);
    const auto time = Clock::now() - start;
    if (answer.status >= 200 && answer.status < 300) {
      report.Add(*request, time);
    } else {
      report.Add(*request, time, answer.status == 0 ? "no answer" : absl::StrCat("HTTP ", answer.status), answer.text);
    }
  }
}

// Ends the process when all is done; answers what was wrong before.
absl::Status Run(const Options& options) {
  CRM_TRY(const Requests requests, ReadRequests(options.requests));
  CRM_TRY(const std::string token, TokenOf(options.token_file));
  if (requests.grpc && requests.http) return Wrong("the requests are of gRPC and of HTTP; give each a run of its own");
  CRM_TRY(const tcp::endpoint endpoint, Loopback(requests.grpc ? options.grpc : options.http));

  asio::io_context loop(1);
  std::vector<std::unique_ptr<rpc::Client>> grpc_clients;
  std::vector<std::unique_ptr<HttpClient>> http_clients;
  Report report(requests);
  const auto start = Clock::now();
  Schedule schedule(options, requests);
  // Open connections would keep the loop going.
  int under_way = options.in_flight;
  const auto ended = [&loop, &under_way](std::exception_ptr) {
    if (--under_way == 0) loop.stop();
  };
  for (int i = 0; i < options.in_flight; ++i) {
    if (requests.http) {
      http_clients.push_back(std::make_unique<HttpClient>(loop.get_executor(), endpoint, token));
      asio::co_spawn(loop, SendHttp(*http_clients.back(), schedule, report), ended);
      continue;
    }
    if (i < options.connections) {
      grpc_clients.push_back(std::make_unique<rpc::Client>(
          rpc::ClientOptions{options.grpc, options.ca, options.cert, options.key, options.peer}));
    }
    rpc::Client& client = *grpc_clients[static_cast<size_t>(i % options.connections)];
    asio::co_spawn(loop, SendGrpc(client, token, schedule, report), ended);
  }
  loop.run();
  std::cout << report.Json(Clock::now() - start).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
            << std::endl;
  // Without taking anything down.
  std::_Exit(0);
}

}  // namespace
}  // namespace crm::loadgen

int main(int argc, char** argv) {
  auto options = crm::loadgen::OptionsOf(argc, argv);
  const absl::Status status = options.ok() ? crm::loadgen::Run(*options) : options.status();
  std::cerr << "crm-loadgen: " << status.message() << "\n";
  return 2;
}
