// One HTTP/2 connection (RFC 9113, by nghttp2) on one event loop: socket, TLS, keep-alive, and what is written gathered
// once a turn of the loop. What a connection is for, its two derived classes know: served_call.h and channel.h. All on the
// loop. Not for others than common/rpc.
#pragma once

#include <absl/strings/string_view.h>
#include <nghttp2/nghttp2.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/rpc/tls.h"

namespace crm::rpc::wire {

using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

// Headers as they came, in one piece of memory.
class Headers {
 public:
  // False if that is more than kMetadataBytesMax in all.
  bool Add(absl::string_view name, absl::string_view value);
  // The first of that name; empty if there is none.
  absl::string_view Find(absl::string_view name) const;
  // True if there is more than one of that name.
  bool Repeats(absl::string_view name) const;

 private:
  struct Place {
    uint32_t name, name_size, value, value_size;
  };
  std::string text_;
  std::vector<Place> places_;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  virtual ~Link();
  Link(const Link&) = delete;
  const asio::any_io_executor& executor() const { return executor_; }

  // Begins with the handshake, if there is TLS.
  void Begin();
  // Ends it at once. Ended() is told, unless it has been.
  void End(std::string why);
  // Takes no more calls, lets those under way end, then ends.
  void Leave();
  // Sends what the session has to send after what else this turn of the loop does.
  void FlushSoon();

  bool open() const { return open_ && !ended_; }
  bool ended() const { return ended_; }
  bool leaving() const { return leaving_; }
  bool tls() const { return tls_.has_value(); }

 protected:
  // `context` null: plain text.
  Link(tcp::socket socket, std::shared_ptr<SSL_CTX> context, bool server, std::chrono::milliseconds ping_patience);

  // Makes session_ and says what goes first; false ends the connection. After the handshake.
  virtual bool Opened() = 0;
  // Something has been read: calls have come or ended. Never within nghttp2.
  virtual void AfterRead() = 0;
  // Once; `why` is for people.
  virtual void Ended(const std::string& why) = 0;
  // Whether what comes has to wait anyway. Then it is read in gulps: one wake-up, one write for many answers.
  virtual bool Crowded() const { return false; }
  // Does what is due by time; answers when it wants to be asked next.
  virtual Clock::time_point Tick(Clock::time_point) { return Clock::time_point::max(); }
  // Asks for a Tick at that time, if none is due earlier.
  void Arm(Clock::time_point when);

  std::optional<TlsPipe> tls_;
  nghttp2_session* session_ = nullptr;

 private:
  void Read();
  void ReadOn(bool all);  // `all`: nothing is left to be read
  void OnRead(const boost::system::error_code& error, size_t size);
  bool Handshake();
  bool Feed(const char* bytes, size_t size);
  void Flush();
  bool SendOut();
  void Close();
  void OnTimer();

  asio::any_io_executor executor_;
  tcp::socket socket_;
  asio::steady_timer timer_, gulp_timer_;
  const std::shared_ptr<SSL_CTX> context_;
  const std::chrono::milliseconds ping_patience_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point armed_ = Clock::time_point::max();
  Clock::time_point last_read_ = begun_, pinged_ = Clock::time_point::max();
  std::array<char, 32 << 10> in_;
  std::string plain_, out_;  // on its way through TLS; on its way to the socket
  bool open_ = false, ended_ = false, leaving_ = false, closing_ = false;
  bool flush_posted_ = false, sending_ = false;
};

}  // namespace crm::rpc::wire
