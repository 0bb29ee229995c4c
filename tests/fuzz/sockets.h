// The other end of a connection, for fuzzers of what reads from sockets.
#pragma once

#include <absl/strings/string_view.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "common/base/async.h"
#include "tests/fuzz/fuzz.h"

namespace crm::fuzz {

class Peer {
 public:
  Peer() { Require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) == 0, "there are sockets"); }
  ~Peer() {
    close(ends_[1]);
    if (!given_) close(ends_[0]);
  }
  Peer(const Peer&) = delete;

  // What is under test reads and writes here. Once.
  asio::ip::tcp::socket Socket(asio::io_context& loop) {
    given_ = true;
    asio::ip::tcp::socket socket(loop);
    socket.assign(asio::ip::tcp::v4(), ends_[0]);
    return socket;
  }
  // Says all of it, unless the other side has hung up.
  void Say(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(ends_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Says nothing any more.
  void Hush() { shutdown(ends_[1], SHUT_WR); }
  // What has come by now.
  std::string Heard() {
    std::string said;
    char buffer[4096];
    for (ssize_t got; (got = recv(ends_[1], buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      said.append(buffer, static_cast<size_t>(got));
    }
    return said;
  }

 private:
  int ends_[2];
  bool given_ = false;
};

}  // namespace crm::fuzz
