#include "services/messaging/lmtp.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <openssl/sha.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <mutex>
#include <set>

#include "common/base/failpoint.h"
#include "common/base/listen.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/messaging/rules/lmtp.h"

namespace crm::messaging {
namespace lmtp_server {

using boost::asio::ip::tcp;
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
// Mistakes of one client before it is shown out.
constexpr int kMistakesMax = 20;
constexpr size_t kReadBytes = 65536;
constexpr auto kWriteTimeout = std::chrono::seconds(60);

std::string Fingerprint(absl::string_view raw) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(raw.data()), raw.size(), digest);
  return absl::StrCat("sha256:", std::string(reinterpret_cast<const char*>(digest), sizeof digest));
}

}  // namespace lmtp_server

struct LmtpServer::Shared : std::enable_shared_from_this<LmtpServer::Shared> {
  Shared(Messaging& app, LmtpOptions options, std::vector<asio::any_io_executor> loops)
      : app(app), inbound(app), options(std::move(options)), loops(std::move(loops)) {}

  asio::awaitable<void> Accept();

  Messaging& app;
  Inbound inbound;
  const LmtpOptions options;
  const std::vector<asio::any_io_executor> loops;
  std::unique_ptr<lmtp_server::tcp::acceptor> acceptor;
  std::atomic<bool> draining{false};
  std::atomic<size_t> connections{0};
};

namespace lmtp_server {

// One client.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<LmtpServer::Shared> server)
      : socket_(std::move(socket)), timer_(socket_.get_executor()), server_(std::move(server)) {}

  static asio::awaitable<void> Run(std::shared_ptr<Session> self) {
    self->server_->connections.fetch_add(1);
    try {
      co_await self->Talk();
    } catch (const std::exception& e) {
      obs::Log(obs::Level::kWarning, "an LMTP session threw", {{"error", e.what()}});
    }
    self->timer_.cancel();
    self->server_->connections.fetch_sub(1);
  }

 private:
  struct Recipient {
    std::string address;
    Inbound::Box box;
  };

  asio::awaitable<void> Talk() {
    if (server_->connections.load() > server_->options.connections_max) {
      (void)co_await Say("421 4.3.2 too many connections; come again");
      co_return;
    }
    bool on = co_await Say(absl::StrCat("220 ", server_->options.name, " LMTP"));
    while (on) {
      std::string line;
      const Line got = co_await ReadLine(line);
      if (got == Line::kGone) co_return;
      if (server_->draining && recipients_.empty()) {
        (void)co_await Say("421 4.3.2 this server is going down; come again");
        co_return;
      }
      on = co_await Answer(got, line);
      if (mistakes_ > kMistakesMax) {
        (void)co_await Say("421 4.7.0 too many mistakes");
        co_return;
      }
    }
  }

  asio::awaitable<bool> Mistake(std::string answer) {
    ++mistakes_;
    co_return co_await Say(std::move(answer));
  }

  asio::awaitable<bool> Answer(int got, const std::string& line) {
    if (got == Line::kTooLong) co_return co_await Mistake("500 5.5.2 the line is too long");
    const LmtpCommand command = ReadCommand(line);
    using Verb = LmtpCommand::Verb;
    if (!command.error.empty()) co_return co_await Mistake(command.error);
    switch (command.verb) {
      case Verb::kLhlo:
        Reset();
        greeted_ = true;
        co_return co_await Say(
            absl::StrCat("250-", server_->options.name,
                         "\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE ",
                         server_->app.settings.letter_bytes_max));
      case Verb::kHelo:
        co_return co_await Mistake("500 5.5.1 this is LMTP; say LHLO");
      case Verb::kMail:
        if (!greeted_ || sender_)
          co_return co_await Mistake(greeted_ ? "503 5.5.1 a letter has begun already" : "503 5.5.1 say LHLO first");
        if (command.size && *command.size > static_cast<int64_t>(server_->app.settings.letter_bytes_max))
          co_return co_await Say("552 5.3.4 the letter is too large");
        sender_ = command.address;
        co_return co_await Say("250 2.1.0 ok");
      case Verb::kRcpt:
        co_return co_await AddRecipient(command.address);
      case Verb::kData:
        if (!sender_) co_return co_await Mistake("503 5.5.1 say MAIL FROM first");
        if (recipients_.empty()) co_return co_await Mistake("503 5.5.1 there is no recipient");
        co_return co_await Receive();
      case Verb::kRset:
        Reset();
        co_return co_await Say("250 2.0.0 ok");
      case Verb::kNoop:
        co_return co_await Say("250 2.0.0 ok");
      case Verb::kVrfy:
        co_return co_await Say("252 2.1.5 try it");
      case Verb::kQuit:
        (void)co_await Say("221 2.0.0 bye");
        co_return false;
      case Verb::kUnknown:
        break;
    }
    co_return co_await Mistake("500 5.5.2 the command is not known here");
  }

  asio::awaitable<bool> AddRecipient(const std::string& address) {
    if (!sender_) co_return co_await Mistake("503 5.5.1 say MAIL FROM first");
    if (recipients_.size() >= server_->options.recipients_max)
      co_return co_await Say("452 4.5.3 too many recipients; send the others again");
    const auto box = co_await server_->inbound.Find(address);
    if (!box.ok()) co_return co_await Say("451 4.3.0 the directory cannot be asked; come again");
    if (!box->has_value()) co_return co_await Say("550 5.1.1 nobody here has this address");
    recipients_.push_back({address, **box});
    co_return co_await Say("250 2.1.5 ok");
  }

  // The letter, then one answer for each recipient.
  asio::awaitable<bool> Receive() {
    const bool begun = co_await Say("354 go on; end with a dot on a line of its own");
    if (!begun) co_return false;
    LmtpData data(server_->app.settings.letter_bytes_max);
    for (;;) {
      const size_t taken = data.Feed(absl::string_view(buffer_).substr(start_));
      start_ += taken;
      Shrink();
      if (data.ended()) break;
      const bool more = co_await Fill();
      if (!more) co_return false;
    }
    timer_.cancel();
    std::vector<Recipient> recipients = std::move(recipients_);
    const std::string sender = sender_.value_or("");
    Reset();
    std::string answers;
    if (data.too_large()) {
      for (size_t i = 0; i < recipients.size(); ++i) answers += "552 5.3.4 the letter is too large\r\n";
      co_return co_await Say(std::move(answers), /*whole=*/true);
    }
    auto raw = std::make_shared<std::string>(data.Take());
    auto letter = std::make_shared<absl::StatusOr<v1::ParsedLetter>>(absl::UnavailableError("not read"));
    const Settings& settings = server_->app.settings;
    std::function<void()> work = [raw, letter, &settings] {
      *letter = ParseInChild(settings.parser, *raw, settings.parse_limits);
    };
    const absl::Status offloaded = co_await server_->app.offload(work);
    const std::string fingerprint = Fingerprint(*raw);
    for (const Recipient& recipient : recipients) {
      absl::Status stored = !offloaded.ok() ? offloaded : letter->status();
      if (stored.ok()) stored = co_await server_->inbound.Deliver(recipient.box, **letter, fingerprint, sender);
      if (stored.ok()) CRM_FAILPOINT("messaging.after_letter_commit");
      answers += AnswerFor(stored);
      if (!stored.ok()) {
        obs::Log(obs::Level::kWarning, "a letter that arrived could not be stored",
                 {{"channel", recipient.box.channel_id}, {"error", stored.message()}});
      }
    }
    co_return co_await Say(std::move(answers), /*whole=*/true);
  }

  static std::string AnswerFor(const absl::Status& stored) {
    if (stored.ok()) return "250 2.0.0 stored\r\n";
    if (absl::IsDataLoss(stored)) return "554 5.6.0 the letter cannot be read\r\n";
    if (absl::IsNotFound(stored)) return "550 5.2.1 this mailbox takes no letters\r\n";
    return "451 4.3.0 it could not be stored; come again\r\n";
  }

  void Reset() {
    sender_.reset();
    recipients_.clear();
  }

  enum Line { kLine, kTooLong, kGone };

  // A line up to CRLF. One that is too long is read to its end and thrown away.
  asio::awaitable<Line> ReadLine(std::string& line) {
    bool too_long = false;
    for (;;) {
      const size_t end = buffer_.find("\r\n", start_);
      if (end != std::string::npos) {
        if (end - start_ > kLmtpLineMax) too_long = true;
        line = too_long ? "" : buffer_.substr(start_, end - start_);
        start_ = end + 2;
        Shrink();
        co_return too_long ? Line::kTooLong : Line::kLine;
      }
      if (buffer_.size() - start_ > kLmtpLineMax) {
        too_long = true;
        const bool half = buffer_.back() == '\r';  // its LF may follow
        buffer_ = half ? "\r" : "";
        start_ = 0;
      }
      const bool more = co_await Fill();
      if (!more) co_return Line::kGone;
    }
  }

  void Shrink() {
    if (start_ == buffer_.size()) {
      buffer_.clear();
      start_ = 0;
    } else if (start_ > kReadBytes) {
      buffer_.erase(0, start_);
      start_ = 0;
    }
  }

  // Closes the line when nothing happens for so long.
  void Arm(std::chrono::steady_clock::duration time) {
    timer_.expires_after(time);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      auto alive = weak.lock();
      boost::system::error_code ignored;
      if (!error && alive) alive->socket_.close(ignored);
    });
  }

  asio::awaitable<bool> Fill() {
    Arm(server_->options.idle_timeout);
    const size_t before = buffer_.size();
    buffer_.resize(before + kReadBytes);
    auto [error, got] = co_await socket_.async_read_some(asio::buffer(buffer_.data() + before, kReadBytes), kToken);
    buffer_.resize(before + (error ? 0 : got));
    co_return !error;
  }

  asio::awaitable<bool> Say(std::string text, bool whole = false) {
    if (!whole) text += "\r\n";
    Arm(kWriteTimeout);
    auto [error, written] = co_await asio::async_write(socket_, asio::buffer(text), kToken);
    co_return !error;
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  const std::shared_ptr<LmtpServer::Shared> server_;
  std::string buffer_;
  size_t start_ = 0;
  bool greeted_ = false;
  std::optional<std::string> sender_;
  std::vector<Recipient> recipients_;
  int mistakes_ = 0;
};

}  // namespace lmtp_server

asio::awaitable<void> LmtpServer::Shared::Accept() {
  const auto self = shared_from_this();
  size_t next = 0;
  for (;;) {
    auto loop = loops[next++ % loops.size()];
    auto [error, socket] = co_await acceptor->async_accept(loop, lmtp_server::kToken);
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor || draining) co_return;
    if (error) {
      asio::steady_timer pause(acceptor->get_executor(), std::chrono::milliseconds(100));
      co_await pause.async_wait(lmtp_server::kToken);
      continue;
    }
    auto session = std::make_shared<lmtp_server::Session>(std::move(socket), self);
    asio::co_spawn(loop, lmtp_server::Session::Run(std::move(session)), asio::detached);
  }
}

LmtpServer::LmtpServer(Messaging& app, LmtpOptions options, std::vector<asio::any_io_executor> loops)
    : shared_(std::make_shared<Shared>(app, std::move(options), std::move(loops))) {}
LmtpServer::~LmtpServer() = default;

absl::Status LmtpServer::Listen() {
  CRM_TRY(shared_->acceptor, ListenOn(shared_->loops[0], shared_->options.listen));
  asio::co_spawn(shared_->loops[0], shared_->Accept(), asio::detached);
  return absl::OkStatus();
}

uint16_t LmtpServer::port() const {
  boost::system::error_code error;
  const auto endpoint = shared_->acceptor->local_endpoint(error);
  return error ? 0 : endpoint.port();
}

asio::awaitable<void> LmtpServer::Drain(std::chrono::milliseconds grace) {
  auto shared = shared_;
  shared->draining = true;
  asio::post(shared->loops[0], [shared] {
    boost::system::error_code ignored;
    if (shared->acceptor) shared->acceptor->close(ignored);
  });
  asio::steady_timer pause(co_await asio::this_coro::executor);
  const auto until = std::chrono::steady_clock::now() + grace;
  while (shared->connections.load() > 0 && std::chrono::steady_clock::now() < until) {
    pause.expires_after(std::chrono::milliseconds(20));
    co_await pause.async_wait(lmtp_server::kToken);
  }
}

}  // namespace crm::messaging
