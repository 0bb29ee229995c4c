// crm-loadgen: sends requests to a service (gRPC over mTLS with a token) or the gateway (HTTP/1.1, kept connections) and
// prints counts and latencies as JSON. To this machine only, and never without an end.
//
//   crm-loadgen --requests=FILE --token-file=FILE [--in-flight=16] [--seconds=5] [--count=N] [--order=random|sequence]
//     [--rate=N] [--deadline-ms=10000]
//     gRPC: --grpc=127.0.0.1:7102 --peer=contact --ca=FILE --cert=FILE --key=FILE [--connections=1]
//     HTTP: --http=127.0.0.1:8080 [--connections=N]
//
// The requests are those of requests.h; `random` draws from them with the same seed each time, `sequence` takes them in
// order and starts anew at the end. The file of tokens has one, or a line "caller token" for each.
//
// Without a rate it is a closed loop: as many in flight as said, the next one when one is answered. With a rate it is an open
// one: each request has its moment, whatever became of those before it, and its time counts from there; so a service that is
// late is seen to be. --in-flight then bounds what waits for an answer; who finds no place before its deadline counts as NOT
// SENT, and an answer that comes later than that as LATE. By HTTP each caller then has connections of its own, as clients of
// different tenants have, at most N, one request at a time on each; by gRPC all share those that there are, as behind a
// gateway. Exit code 0 also when requests were refused: the report says so.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <deque>
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

using Clock = std::chrono::steady_clock;
using tcp = asio::ip::tcp;

constexpr int kInFlightMax = 16'384;
constexpr int kRateMax = 1'000'000;
constexpr int kSecondsMax = 600;
constexpr int64_t kCountMax = 20'000'000;  // each answer's time is kept: 4 bytes
constexpr size_t kAnswerBytesMax = 16 << 20;
constexpr char kNotSent[] = "NOT SENT", kLate[] = "LATE";

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

rpc::RawCall CallOf(const Request& request, const std::string& token, Uuid tenant, Clock::time_point deadline) {
  rpc::RawCall call;
  call.tenant = tenant;
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

asio::awaitable<void> SendGrpc(rpc::Client& client, const std::vector<std::string>& tokens,
                               const std::vector<Uuid>& tenants, Schedule& schedule, Report& report) {
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
    const auto caller = static_cast<size_t>(request.caller_id);
    auto answer =
        co_await client.UnaryRaw(CallOf(request, tokens[caller], tenants[caller], turn.at + schedule.deadline()));
    const auto time = Clock::now() - turn.at;
    if (answer.ok()) {
      report.Add(request, time, time <= schedule.deadline() ? "" : kLate);
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

// What is sent for a request of a caller.
std::string HttpText(const Request& request, const std::string& token) {
  std::string text = absl::StrCat(request.verb, " ", request.path, " HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  if (!token.empty()) absl::StrAppend(&text, "Authorization: Bearer ", token, "\r\n");
  if (!request.body.empty()) absl::StrAppend(&text, "Content-Type: application/json\r\n");
  if (!request.body.empty() || request.verb != "GET")
    absl::StrAppend(&text, "Content-Length: ", request.body.size(), "\r\n");
  return absl::StrCat(text, "\r\n", request.body);
}

// Put together once for each request.
class Texts {
 public:
  Texts(const Requests& requests, const std::vector<std::string>& tokens) : first_(requests.all.data()) {
    if (!requests.http) return;
    for (const Request& one : requests.all) all_.push_back(HttpText(one, tokens[static_cast<size_t>(one.caller_id)]));
  }
  const std::string& Of(const Request& request) const { return all_[static_cast<size_t>(&request - first_)]; }

 private:
  const Request* const first_;
  std::vector<std::string> all_;
};

// One kept connection. Cheap, because at many times a server's peak it is the sender who must keep up: it reads of an
// answer what it needs to know, and its time is looked after by Expire. The gateway's answers have a length.
class HttpClient {
 public:
  HttpClient(asio::any_io_executor executor, tcp::endpoint endpoint)
      : executor_(std::move(executor)), endpoint_(endpoint) {}

  struct Answer {
    unsigned status = 0;  // 0: none came
    std::string text;     // of an error
    bool retry = false;   // it says when to come back
  };
  asio::awaitable<Answer> Send(const std::string& text, Clock::time_point deadline) {
    constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
    deadline_ = deadline;
    if (!socket_) {
      socket_.emplace(executor_);
      auto [error] = co_await socket_->async_connect(endpoint_, kToken);
      if (error) co_return Lost(error.message());
      boost::system::error_code ignored;
      socket_->set_option(tcp::no_delay(true), ignored);
      socket_->non_blocking(true, ignored);
    }
    boost::system::error_code error;
    size_t sent = socket_->write_some(asio::buffer(text), error);  // fits, as nothing else is on its way
    if (error && error != asio::error::would_block) co_return Lost(error.message());
    if (sent < text.size()) {
      auto [e, n] = co_await asio::async_write(*socket_, asio::buffer(text.data() + sent, text.size() - sent), kToken);
      if (e) co_return Lost(e.message());
    }
    in_.clear();
    size_t whole = std::string::npos;  // of the answer, once its head is there
    Answer answer;
    bool keep = true;
    while (in_.size() < whole) {
      co_await socket_->async_wait(tcp::socket::wait_read, kToken);
      const size_t had = in_.size();
      in_.resize(had + kReadBytes);
      const size_t got = socket_->read_some(asio::buffer(in_.data() + had, kReadBytes), error);
      in_.resize(had + got);
      if (error == asio::error::would_block) continue;
      if (error || in_.size() > kAnswerBytesMax) co_return Lost(error ? error.message() : "too large an answer");
      if (whole != std::string::npos) continue;
      const size_t end = in_.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      const absl::string_view head(in_.data(), end + 2);
      size_t length = 0;
      if (!absl::SimpleAtoi(head.substr(std::min<size_t>(9, head.size()), 3), &answer.status))
        co_return Lost("no HTTP");
      const absl::string_view given = Field(head, "\r\nContent-Length: ");
      if (!given.empty() && !absl::SimpleAtoi(given, &length)) co_return Lost("no length");
      answer.retry = !Field(head, "\r\nRetry-After: ").empty();
      keep = Field(head, "\r\nConnection: ") != "close";
      whole = end + 4 + length;
      if (answer.status >= 300) answer.text.reserve(length);
    }
    if (answer.status >= 300) answer.text = in_.substr(in_.find("\r\n\r\n") + 4);
    deadline_ = Clock::time_point::max();
    if (!keep) socket_.reset();
    co_return answer;
  }
  // Ends what has had its time.
  void Expire(Clock::time_point now) {
    if (now < deadline_ || !socket_) return;
    boost::system::error_code ignored;
    socket_->close(ignored);
  }

 private:
  static constexpr size_t kReadBytes = 16 << 10;

  static absl::string_view Field(absl::string_view head, absl::string_view name) {
    const size_t at = head.find(name);
    if (at == absl::string_view::npos) return {};
    head.remove_prefix(at + name.size());
    return head.substr(0, head.find("\r\n"));
  }
  Answer Lost(std::string why) {
    socket_.reset();
    deadline_ = Clock::time_point::max();
    return {0, std::move(why), false};
  }
  asio::any_io_executor executor_;
  const tcp::endpoint endpoint_;
  std::optional<tcp::socket> socket_;
  std::string in_;
  Clock::time_point deadline_ = Clock::time_point::max();
};

// Looks after the time of all connections.
asio::awaitable<void> ExpireAll(const std::vector<std::unique_ptr<HttpClient>>& clients) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    timer.expires_after(std::chrono::milliseconds(50));
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto now = Clock::now();
    for (const auto& client : clients) client->Expire(now);
  }
}

asio::awaitable<void> SendOne(HttpClient& client, const Texts& texts, const Schedule::Turn& turn,
                              std::chrono::milliseconds deadline, Report& report) {
  const Request& request = *turn.request;
  const HttpClient::Answer answer = co_await client.Send(texts.Of(request), turn.at + deadline);
  const auto time = Clock::now() - turn.at;
  if (answer.status >= 200 && answer.status < 300) {
    report.Add(request, time, time <= deadline ? "" : kLate);
  } else {
    report.Add(request, time, answer.status == 0 ? "no answer" : absl::StrCat("HTTP ", answer.status), answer.text);
  }
  if (answer.retry) report.AddRetry();
}

// The closed loop.
asio::awaitable<void> SendHttp(HttpClient& client, const Texts& texts, Schedule& schedule, Report& report) {
  for (;;) {
    const Schedule::Turn turn = schedule.Next();
    if (turn.request == nullptr) co_return;
    co_await SendOne(client, texts, turn, schedule.deadline(), report);
  }
}

// The open loop: what a caller is to send, and its connections that have nothing to do.
struct Line {
  std::deque<Schedule::Turn> due;
  std::vector<asio::steady_timer*> idle;
  bool over = false;  // no more will come

  void Wake() {
    if (idle.empty()) return;
    asio::steady_timer* timer = idle.back();
    idle.pop_back();
    timer->cancel();
  }
};

asio::awaitable<void> SendDue(HttpClient& client, const Texts& texts, Line& line, const Schedule& schedule,
                              Report& report) {
  asio::steady_timer woken(co_await asio::this_coro::executor, Clock::time_point::max());
  for (;;) {
    while (line.due.empty()) {
      if (line.over) co_return;
      line.idle.push_back(&woken);
      co_await woken.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    // The newest first: in order, everything would be sent with hardly any time left once a line has grown long.
    const Schedule::Turn turn = line.due.back();
    line.due.pop_back();
    if (Clock::now() >= turn.at + schedule.deadline()) {
      report.Add(*turn.request, Clock::now() - turn.at, kNotSent);
      continue;
    }
    co_await SendOne(client, texts, turn, schedule.deadline(), report);
  }
}

// Gives each request to its caller's line at its moment.
asio::awaitable<void> Deal(std::vector<Line>& lines, Schedule& schedule, Report& report) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    const Schedule::Turn turn = schedule.Next();
    if (turn.request == nullptr) break;
    if (turn.at > Clock::now()) {
      timer.expires_at(turn.at);
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    Line& line = lines[static_cast<size_t>(turn.request->caller_id)];
    while (!line.due.empty() && Clock::now() >= line.due.front().at + schedule.deadline()) {
      report.Add(*line.due.front().request, Clock::now() - line.due.front().at, kNotSent);
      line.due.pop_front();
    }
    line.due.push_back(turn);
    line.Wake();
  }
  for (Line& line : lines) {
    line.over = true;
    while (!line.idle.empty()) line.Wake();
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
  const Texts texts(requests, tokens);
  std::vector<Line> lines(requests.callers.size());
  std::vector<Uuid> tenants;  // as far as our client must tell them apart
  for (size_t i = 0; i < requests.callers.size(); ++i) tenants.push_back(NewUuid(absl::Now()));
  Report report(requests);
  const auto start = Clock::now();
  Schedule schedule(options, requests);
  const auto whole = std::chrono::seconds(options.seconds) + schedule.deadline();
  report.CountByTime(schedule.start(), static_cast<size_t>(whole / std::chrono::milliseconds(500)) + 1);
  // Open connections would keep the loop going.
  int under_way = 0;
  const auto ended = [&loop, &under_way](std::exception_ptr) {
    if (--under_way == 0) loop.stop();
  };
  const auto begin = [&](asio::awaitable<void> sender) {
    ++under_way;
    asio::co_spawn(loop, std::move(sender), ended);
  };
  const auto connect = [&]() -> HttpClient& {
    http_clients.push_back(std::make_unique<HttpClient>(loop.get_executor(), endpoint));
    return *http_clients.back();
  };
  if (requests.http && schedule.open()) {
    for (Line& line : lines) {
      const int most = std::min(options.connections, std::max(1, options.in_flight / static_cast<int>(lines.size())));
      for (int i = 0; i < most; ++i) begin(SendDue(connect(), texts, line, schedule, report));
    }
    begin(Deal(lines, schedule, report));
  }
  for (int i = 0; i < options.in_flight && !(requests.http && schedule.open()); ++i) {
    if (requests.http) {
      begin(SendHttp(connect(), texts, schedule, report));
      continue;
    }
    if (i < options.connections) {
      grpc_clients.push_back(std::make_unique<rpc::Client>(
          rpc::ClientOptions{options.grpc, options.ca, options.cert, options.key, options.peer}));
    }
    rpc::Client& client = *grpc_clients[static_cast<size_t>(i % options.connections)];
    begin(SendGrpc(client, tokens, tenants, schedule, report));
  }
  if (requests.http) asio::co_spawn(loop, ExpireAll(http_clients), asio::detached);
  loop.run();
  nlohmann::json found = report.Json(Clock::now() - start);
  int64_t throttled = 0;
  for (const auto& client : grpc_clients) throttled += client->throttled();
  found["throttled"] = throttled;  // of those that failed: not even sent
  std::cout << found.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
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
