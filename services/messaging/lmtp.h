// The door for letters: an LMTP server (RFC 2033) that a mail server (Postfix, Exim, Dovecot's relays) hands letters to.
// It has no sign-in and no TLS: listen on an address that only the mail server reaches.
//
// Each recipient gets an answer of its own after the letter's end, and 250 only once the letter is committed. 4xx means
// "come again"; repeating is harmless.
#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "services/messaging/inbound.h"

namespace crm::messaging {

struct LmtpOptions {
  std::string listen;                              // "127.0.0.1:7401"; port 0 takes a free one
  std::string name = "crm";                        // how it introduces itself
  size_t connections_max = 16;                     // more are told to come again
  size_t recipients_max = 100;                     // of one letter
  std::chrono::milliseconds idle_timeout{300000};  // RFC 5321 4.5.3.2.7
};

class LmtpServer {
 public:
  LmtpServer(Messaging& app, LmtpOptions options, std::vector<asio::any_io_executor> loops);
  ~LmtpServer();
  LmtpServer(const LmtpServer&) = delete;

  // Binds and begins to accept.
  absl::Status Listen();
  uint16_t port() const;
  // Accepts nobody any more, tells those between letters to come again, and waits until the letters under way are
  // stored, at most `grace`.
  asio::awaitable<void> Drain(std::chrono::milliseconds grace);

  struct Shared;

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace crm::messaging
