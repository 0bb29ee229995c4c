// crm-loadgen: sends requests to a service (gRPC over mTLS with a token) or the gateway (HTTP/1.1, kept connections) and
// prints counts and latencies as JSON. To this machine only, and never without an end.
//
//   crm-loadgen --requests=FILE --token-file=FILE [--in-flight=16] [--seconds=5] [--count=N] [--order=random|sequence]
//     [--rate=N] [--deadline-ms=10000]
//     gRPC: --grpc=127.0.0.1:7102 --peer=contact --ca=FILE --cert=FILE --key=FILE [--connections=1]
//     HTTP: --http=127.0.0.1:8080
//
// The requests are those of requests.h; `random` draws from them with the same seed each time, `sequence` takes them in
// order and starts anew at the end. The file of tokens has one, or a line "caller token" for each.
//
// Without a rate it is a closed loop: as many in flight as said, the next one when one is answered. With a rate it is an open
// one: each request has its moment, whatever became of those before it, and its time counts from there; so a service that is
// late is seen to be. --in-flight then bounds what waits for an answer; who finds no place before its deadline counts as NOT
// SENT. Exit code 0 also when requests were refused: the report says so.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
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

#include "common/base/error.h"
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

constexpr int kInFlightMax = 16'384;
constexpr int kRateMax = 1'000'000;
constexpr int kSecondsMax = 600;
constexpr int64_t kCountMax = 20'000'000;  // each answer's time is kept: 4 bytes
constexpr size_t kAnswerBytesMax = 16 << 20;
constexpr char kNotSent[] = "NOT SENT";

struct Options {
  std::string requests, token_file, grpc, peer, ca, cert, key, http;
  int in_flight = 16;
  int connections = 1;
  int seconds = 5;
  int rate = 0;  // a second; 0: a closed loop
  int deadline_ms = 10'000;
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
  const std::map<std::string, int*> numbers = {{"in-flight", &out.in_flight},
                                               {"connections", &out.connections},
                                               {"seconds", &out.seconds},
                                               {"rate", &out.rate},
                                               {"deadline-ms", &out.deadline_ms}};
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
  if (out.rate != 0 && !within(out.rate, kRateMax)) return Wrong(absl::StrCat("--rate goes from 1 to ", kRateMax));
  if (!within(out.deadline_ms, 60'000)) return Wrong("--deadline-ms goes from 1 to 60000");
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

// The token of each caller that the requests name.
absl::StatusOr<std::vector<std::string>> TokensOf(const std::string& file, const Requests& requests) {
  std::vector<std::string> tokens(requests.callers.size());
  if (file.empty()) return tokens;
  std::ifstream in(file);
  std::map<std::string, std::string> found;
  std::string line, only;
  while (std::getline(in, line)) {
    const size_t space = line.rfind(' ');
    if (space == std::string::npos) {
      if (!line.empty()) only = line;
    } else {
      found[line.substr(0, space)] = line.substr(space + 1);
    }
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto it = found.find(requests.callers[i]);
    tokens[i] = it == found.end() ? only : it->second;
    if (tokens[i].empty()) return absl::NotFoundError(absl::StrCat(file, " has no token for ", requests.callers[i]));
  }
  return tokens;
}

// Which request comes next, when, and whether there is a next one. On the loop only.
class Schedule {
 public:
  Schedule(const Options& options, const Requests& requests)
      : requests_(requests),
        left_(options.count),
        random_(options.random),
        start_(Clock::now()),
        end_(start_ + std::chrono::seconds(options.seconds)),
        pause_(options.rate == 0
                   ? Clock::duration(0)
                   : std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1.0 / options.rate))),
        open_(options.rate != 0),
        deadline_(options.deadline_ms) {}

  struct Turn {
    const Request* request = nullptr;  // null: no more
    Clock::time_point at;              // the moment that it is sent at, or was to be
  };
  Turn Next() {
    Turn turn;
    turn.at = open_ ? start_ + pause_ * given_ : Clock::now();
    if (left_ == 0 || turn.at >= end_) return turn;
    --left_;
    ++given_;
    const size_t size = requests_.all.size();
    turn.request = random_ ? &requests_.all[std::uniform_int_distribution<size_t>(0, size - 1)(engine_)]
                           : &requests_.all[place_++ % size];
    return turn;
  }
  bool open() const { return open_; }
  std::chrono::milliseconds deadline() const { return deadline_; }
  Clock::time_point start() const { return start_; }

 private:
  const Requests& requests_;
  int64_t left_, given_ = 0;
  const bool random_;
  const Clock::time_point start_, end_;
  const Clock::duration pause_;
  const bool open_;
  const std::chrono::milliseconds deadline_;
  size_t place_ = 0;
  std::mt19937_64 engine_{1};
};

// The sender of one request after another: waits for each one's moment. False if it has passed too long ago.
class Pacer {
 public:
  Pacer(const asio::any_io_executor& executor, const Schedule& schedule) : timer_(executor), schedule_(schedule) {}
  asio::awaitable<bool> Wait(const Schedule::Turn& turn) {
    if (!schedule_.open()) co_return true;
    if (turn.at > Clock::now()) {
      timer_.expires_at(turn.at);
      co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return Clock::now() < turn.at + schedule_.deadline();
  }

 private:
  asio::steady_timer timer_;
  const Schedule& schedule_;
};

// ---- gRPC ----

rpc::RawCall CallOf(const Request& request, const std::string& token, Clock::time_point deadline) {
  rpc::RawCall call;
  call.method = request.method;
  call.request = request.body;
  // What a neighbour sends with each call.
  if (!token.empty()) call.metadata.emplace_back(rpc::kAuthorizationMetadata, absl::StrCat("Bearer ", token));
  call.metadata.emplace_back(rpc::kRequestIdMetadata, NewUuid(absl::Now()).ToString());
  call.metadata.emplace_back(rpc::kTraceparentMetadata, obs::ChildTraceparent(""));
  call.metadata.emplace_back(rpc::kLanguageMetadata, "en");
  call.metadata.emplace_back(rpc::kTimeZoneMetadata, "UTC");
  call.deadline = deadline;
  return call;
}

asio::awaitable<void> SendGrpc(rpc::Client& client, const std::vector<std::string>& tokens, Schedule& schedule,
                               Report& report) {
  Pacer pacer(co_await asio::this_coro::executor, schedule);
  for (;;) {
    const Schedule::Turn turn = schedule.Next();
    if (turn.request == nullptr) co_return;
    const bool in_time = co_await pacer.Wait(turn);
    const Request& request = *turn.request;
    if (!in_time) {
      report.Add(request, Clock::now() - turn.at, kNotSent);
      continue;
    }
    auto answer = co_await client.UnaryRaw(
        CallOf(request, tokens[static_cast<size_t>(request.caller_id)], turn.at + schedule.deadline()));
    const auto time = Clock::now() - turn.at;
    if (answer.ok()) {
      report.Add(request, time);
      continue;
    }
    const Reason reason = ReasonOf(answer.status());
    report.Add(request, time,
               reason == type::v1::ERROR_REASON_UNSPECIFIED ? absl::StatusCodeToString(answer.status().code())
                                                            : ReasonName(reason),
               answer.status().message());
    if (RetryDelayOf(answer.status())) report.AddRetry();
  }
}

// ---- HTTP ----

// One kept connection.
class HttpClient {
 public:
  HttpClient(asio::any_io_executor executor, tcp::endpoint endpoint)
      : executor_(std::move(executor)), endpoint_(endpoint) {}

  struct Answer {
    unsigned status = 0;  // 0: none came
    std::string text;     // of an error
    bool retry = false;   // it says when to come back
  };
  asio::awaitable<Answer> Send(const Request& request, const std::string& token, Clock::time_point deadline) {
    constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
    if (!stream_) {
      stream_.emplace(executor_);
      stream_->expires_at(deadline);
      auto [error] = co_await stream_->async_connect(endpoint_, kToken);
      if (error) co_return Lost(error);
      stream_->socket().set_option(tcp::no_delay(true));
    }
    http::request<http::string_body> message(http::string_to_verb(request.verb), request.path, 11);
    message.set(http::field::host, "127.0.0.1");
    if (!token.empty()) message.set(http::field::authorization, absl::StrCat("Bearer ", token));
    if (!request.body.empty()) {
      message.set(http::field::content_type, "application/json");
      message.body() = request.body;
    }
    message.prepare_payload();
    stream_->expires_at(deadline);
    auto [write_error, written] = co_await http::async_write(*stream_, message, kToken);
    if (write_error) co_return Lost(write_error);
    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerBytesMax);
    auto [read_error, read] = co_await http::async_read(*stream_, buffer_, parser, kToken);
    if (read_error) co_return Lost(read_error);
    Answer answer{parser.get().result_int(), "", parser.get().count(http::field::retry_after) > 0};
    if (answer.status >= 300) answer.text = parser.get().body();
    if (!parser.keep_alive()) stream_.reset();
    co_return answer;
  }

 private:
  Answer Lost(beast::error_code error) {
    stream_.reset();
    buffer_.clear();
    return {0, error.message(), false};
  }
  asio::any_io_executor executor_;
  const tcp::endpoint endpoint_;
  std::optional<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
};

asio::awaitable<void> SendHttp(HttpClient& client, const std::vector<std::string>& tokens, Schedule& schedule,
                               Report& report) {
  Pacer pacer(co_await asio::this_coro::executor, schedule);
  for (;;) {
    const Schedule::Turn turn = schedule.Next();
    if (turn.request == nullptr) co_return;
    const bool in_time = co_await pacer.Wait(turn);
    const Request& request = *turn.request;
    if (!in_time) {
      report.Add(request, Clock::now() - turn.at, kNotSent);
      continue;
    }
    const HttpClient::Answer answer =
        co_await client.Send(request, tokens[static_cast<size_t>(request.caller_id)], turn.at + schedule.deadline());
    const auto time = Clock::now() - turn.at;
    if (answer.status >= 200 && answer.status < 300) {
      report.Add(request, time);
    } else {
      report.Add(request, time, answer.status == 0 ? "no answer" : absl::StrCat("HTTP ", answer.status), answer.text);
    }
    if (answer.retry) report.AddRetry();
  }
}

// Ends the process when all is done; answers what was wrong before.
absl::Status Run(const Options& options) {
  CRM_TRY(const Requests requests, ReadRequests(options.requests));
  CRM_TRY(const std::vector<std::string> tokens, TokensOf(options.token_file, requests));
  if (requests.grpc && requests.http) return Wrong("the requests are of gRPC and of HTTP; give each a run of its own");
  CRM_TRY(const tcp::endpoint endpoint, Loopback(requests.grpc ? options.grpc : options.http));

  asio::io_context loop(1);
  std::vector<std::unique_ptr<rpc::Client>> grpc_clients;
  std::vector<std::unique_ptr<HttpClient>> http_clients;
  Report report(requests);
  const auto start = Clock::now();
  Schedule schedule(options, requests);
  const auto whole = std::chrono::seconds(options.seconds) + schedule.deadline();
  report.CountByTime(schedule.start(), static_cast<size_t>(whole / std::chrono::milliseconds(500)) + 1);
  // Open connections would keep the loop going.
  int under_way = options.in_flight;
  const auto ended = [&loop, &under_way](std::exception_ptr) {
    if (--under_way == 0) loop.stop();
  };
  for (int i = 0; i < options.in_flight; ++i) {
    if (requests.http) {
      http_clients.push_back(std::make_unique<HttpClient>(loop.get_executor(), endpoint));
      asio::co_spawn(loop, SendHttp(*http_clients.back(), tokens, schedule, report), ended);
      continue;
    }
    if (i < options.connections) {
      grpc_clients.push_back(std::make_unique<rpc::Client>(
          rpc::ClientOptions{options.grpc, options.ca, options.cert, options.key, options.peer}));
    }
    rpc::Client& client = *grpc_clients[static_cast<size_t>(i % options.connections)];
    asio::co_spawn(loop, SendGrpc(client, tokens, schedule, report), ended);
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
