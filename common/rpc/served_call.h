// The server's side of the wire: connections that calls come in by. Everything happens on the connection's loop, the call's
// handler too. Not for others than server.cc.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/link.h"
#include "common/rpc/wire.h"

namespace crm::rpc::wire {

class ServerLink;

// What a call's wire tells.
class Listener {
 public:
  virtual ~Listener() = default;
  // Messages of a stream have been handed to the transport, as far as the caller's window lets them.
  virtual void OnWritten() = 0;
  // The caller has gone, and whatever was not sent to it yet is lost. Not after the answer has been sent.
  virtual void OnCancel() = 0;
};

// A status as it goes over the wire, made once for many answers.
class PreparedStatus {
 public:
  explicit PreparedStatus(const WireStatus& status);

 private:
  friend class ServedCall;
  std::string code_, text_, details_;
};

// A call that has come in. After it has ended (answered, cancelled, connection lost), what is written goes nowhere.
class ServedCall final : public std::enable_shared_from_this<ServedCall> {
 public:
  explicit ServedCall(ServerLink* link, int32_t stream) : link_(link), stream_(stream) {}

  // ---- what was asked ----
  std::string path;  // "/crm.contact.v1.ContactService/GetContact"
  Headers headers;
  Clock::time_point started = Clock::now();
  // One message, without its prefix; empty if none came.
  absl::string_view message() const;
  enum class Body { kMessage, kNone, kTooLarge, kCompressed, kBroken } body = Body::kNone;
  void DropMessage();  // gives its memory back

  const asio::any_io_executor& executor() const { return executor_; }
  bool tls() const { return tls_; }
  const std::string& peer() const { return peer_; }  // the common name of its certificate

  // ---- the answer ----
  void Listen(std::shared_ptr<Listener> listener) { listener_ = std::move(listener); }
  // Memory for a message of that size and its prefix; the place of the message is answered.
  static char* Reserve(std::string& framed, size_t size);
  // Sends a message and its prefix, as Reserve made it; OnWritten follows.
  void Write(std::string framed);
  void WriteAndFinish(std::string framed);
  void Finish(const WireStatus& status);
  // Before anything was written. `status` lives as long as the process.
  void Finish(const PreparedStatus& status);
  // Tells the caller that nothing was begun, and that another server will do it: REFUSED_STREAM (RFC 9113, 8.7).
  void SendAway();

 private:
  friend class ServerLink;
  static ssize_t Pull(nghttp2_session* session, int32_t stream, uint8_t* into, size_t size, uint32_t* flags,
                      nghttp2_data_source* source, void*);
  void Complete();
  void Begin();  // the answer's headers
  void Kick();

  ServerLink* link_;  // null: ended
  const int32_t stream_;
  asio::any_io_executor executor_;
  bool tls_ = false;
  std::string peer_;
  std::shared_ptr<ServedCall> self_;  // until it has ended
  std::shared_ptr<Listener> listener_;
  bool http_ok_ = false, fits_ = true, complete_ = false;
  std::string request_;
  std::string reply_;
  size_t sent_ = 0;  // of reply_
  bool begun_ = false, deferred_ = false, finishing_ = false, over_ = false;
  WireStatus status_;
};

struct ServerLinkOptions {
  std::chrono::milliseconds age_max{300'000};
  std::chrono::milliseconds grace{30'000};
  size_t request_bytes_max = 4 << 20;
  std::function<bool()> crowded;  // whether calls wait for their turn
};

class ServerLink final : public Link {
 public:
  using Take = std::function<void(std::shared_ptr<ServedCall>)>;
  // `gone` is called when it has ended.
  ServerLink(tcp::socket socket, std::shared_ptr<SSL_CTX> context, const ServerLinkOptions& options, Take take,
             std::function<void(ServerLink*)> gone);

  // Cancels what is still under way and ends.
  void Cut() { End("the server is being stopped"); }

 protected:
  bool Opened() override;
  void AfterRead() override;
  void Ended(const std::string& why) override;
  bool Crowded() const override { return options_.crowded && options_.crowded(); }
  Clock::time_point Tick(Clock::time_point now) override;

 private:
  friend class ServedCall;
  struct Callbacks;
  void Arrived(ServedCall& call);

  const ServerLinkOptions options_;
  const Take take_;
  const std::function<void(ServerLink*)> gone_;
  Clock::time_point leave_at_, end_at_ = Clock::time_point::max();
  std::string peer_;
  std::vector<std::shared_ptr<ServedCall>> arrived_;
  std::vector<ServedCall*> open_calls_;
  size_t buffered_ = 0;  // of requests that are not complete yet
};

}  // namespace crm::rpc::wire
