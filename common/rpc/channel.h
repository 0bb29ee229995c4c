// The client's side of the wire: connections to one service from one event loop, and the calls on them. Everything happens
// on that loop. Not for others than client.cc.
#pragma once

#include <absl/strings/string_view.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/link.h"
#include "common/rpc/wire.h"

namespace crm::rpc::wire {

class ClientLink;
class Channel;

using Metadata = std::vector<std::pair<std::string, std::string>>;

// One call, or one attempt at it.
class OutCall : public std::enable_shared_from_this<OutCall> {
 public:
  virtual ~OutCall() = default;

  std::string path;
  const Metadata* metadata = nullptr;  // alive until the call has ended
  std::string request;                 // with its prefix
  Clock::time_point deadline = Clock::time_point::max();
  size_t reply_bytes_max = 8 << 20;

  WireStatus status;     // when it has ended
  bool unbegun = false;  // ... and the service has certainly not begun it
  bool unsent = false;   // ... because there was no connection
  bool ended = false;

  // Messages that have come and have not been taken.
  bool has_message() const { return !messages_.empty(); }
  std::string TakeMessage();

  // Ends it with this status, and tells the service.
  void Cancel(int code, std::string text);

 protected:
  // A message has come, or the call has ended. Never within nghttp2, nor within Channel::Start.
  virtual void OnProgress() = 0;

 private:
  friend class ClientLink;
  friend class Channel;
  void EndWith(int code, std::string text, bool not_begun);

  std::shared_ptr<OutCall> self_;  // while it is under way
  Channel* channel_ = nullptr;     // whose pending_ it is in
  size_t place_ = 0;               // there
  std::weak_ptr<ClientLink> link_;
  int32_t stream_ = 0;
  size_t sent_ = 0;
  int http_status_ = 0;
  bool grpc_status_seen_ = false, told_ = false, unsent_ = false;
  std::string incoming_;  // of the message that is coming
  std::list<std::string> messages_;
  size_t unread_ = 0;  // bytes whose window has not been given back
};

struct ChannelOptions {
  std::string address, peer;  // as ClientOptions
};

// "dns:///contact:7000", "127.0.0.1:7102,127.0.0.1:8102": hosts and ports.
struct Target {
  std::string host, port;
};
std::vector<Target> TargetsOf(absl::string_view addresses);

// Calls go round over all connections that take some: one to each address that the names stand for. What a connection no
// longer takes, because its server leaves, goes to another.
class Channel : public std::enable_shared_from_this<Channel> {
 public:
  Channel(asio::any_io_executor executor, ChannelOptions options, std::shared_ptr<TlsFiles> files);

  // Sends the call as soon as there is a connection; if none can be had, the call ends with UNAVAILABLE.
  void Start(const std::shared_ptr<OutCall>& call);
  // Ends all connections and calls; nothing is to be started any more.
  void Close();
  // Takes a connection to `host` that has been made. `context` null: plain text, for tests.
  void Adopt(tcp::socket socket, std::shared_ptr<SSL_CTX> context, tcp::endpoint endpoint, const std::string& host);

 private:
  friend class OutCall;
  friend class ClientLink;

  ClientLink* Choose();
  void Connect();
  void Open(const tcp::endpoint& endpoint, const std::string& host);
  void Dial(tcp::endpoint endpoint, const std::string& host);
  // Looks for servers again at the next call after that time.
  void LookAgain(Clock::time_point when) { look_at_ = std::min(look_at_, when); }
  void LinkReady(ClientLink* link);
  void LinkEnded(ClientLink* link, const std::string& why);
  void AttemptFailed(const std::string& why);
  void Enter(const std::shared_ptr<OutCall>& call);
  void Left(OutCall& call);
  void Arm(Clock::time_point when);
  void OnTimer();
  // Tells calls what has become of them, in a turn of the loop of its own.
  void TellSoon(std::shared_ptr<OutCall> call);

  asio::any_io_executor executor_;
  const ChannelOptions options_;
  const std::vector<Target> targets_;
  const std::shared_ptr<TlsFiles> files_;
  tcp::resolver resolver_;
  asio::steady_timer timer_;
  Clock::time_point armed_ = Clock::time_point::max();
  std::vector<std::shared_ptr<ClientLink>> links_;  // connecting or ready
  std::vector<OutCall*> pending_;                   // calls under way
  std::list<std::shared_ptr<OutCall>> waiting_;     // for a connection
  size_t next_ = 0;
  int attempts_ = 0;  // connections being made, and look-ups
  bool closed_ = false;
  Clock::time_point look_at_ = Clock::time_point::min(), again_at_ = Clock::time_point::min();
  int failures_ = 0;
  std::string why_;
  std::vector<std::shared_ptr<OutCall>> to_tell_;
  bool telling_ = false;
};

}  // namespace crm::rpc::wire
