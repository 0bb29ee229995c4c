// Redis over hiredis' asynchronous API on the event loops: one connection per loop, commands pipelined as they come.
// Redis is disposable: every error is UNAVAILABLE, comes within the command's deadline, and no write of ours fails by
// it.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"

namespace crm::redis {

struct Options {
  std::string host = "127.0.0.1";
  int port = 6379;
  std::string password_file;                       // read at each connect, so that it may be replaced; empty: none
  std::chrono::milliseconds command_timeout{500};  // connecting included
  std::chrono::milliseconds reconnect_min{50};     // doubled up to the maximum; in between commands fail at once
  std::chrono::milliseconds reconnect_max{2000};
  int queue_max = 8192;                // commands without an answer on one connection
  size_t queue_bytes_max = 32u << 20;  // their arguments
};

// One answer, owned. An error reply never becomes a Reply but UNAVAILABLE with Redis' text.
struct Reply {
  enum class Type { kNil, kInteger, kString, kArray };

  Type type = Type::kNil;
  int64_t integer = 0;
  std::string text;          // kString, also a status such as "OK"; binary safe
  std::vector<Reply> items;  // kArray

  bool IsNil() const { return type == Type::kNil; }
};

// The arguments of one command. Binary safe.
class Args {
 public:
  template <typename... T>
  explicit Args(const T&... values) {
    items_.reserve(sizeof...(values));
    (Add(values), ...);
  }
  Args& Add(const std::string& value) { return Push(value); }
  Args& Add(const char* value) { return Push(value); }
  Args& Add(absl::string_view value) { return Push(std::string(value)); }
  Args& Add(std::string&& value) { return Push(std::move(value)); }
  template <typename N, typename = std::enable_if_t<std::is_arithmetic_v<N>>>
  Args& Add(N number) {
    return Push(absl::StrCat(number));
  }
  const std::vector<std::string>& items() const { return items_; }

 private:
  Args& Push(std::string value) {
    items_.push_back(std::move(value));
    return *this;
  }
  std::vector<std::string> items_;
};

// One connection, used from one event loop only. Opened by the first command and, after a loss, by the first command
// that comes when the backoff is over.
class Connection {
 public:
  Connection(Options options, asio::any_io_executor executor);
  ~Connection();
  Connection(const Connection&) = delete;

  // Sent in the order of the calls. No answer in time closes the connection: whatever else waits on it fails too.
  Async<Reply> Command(Args args, std::chrono::milliseconds timeout);
  Async<Reply> Command(Args args);

  // Sends without waiting for the answer; `failed` is called later on the loop, once, if it does not succeed.
  void Send(Args args, std::function<void(const absl::Status&)> failed);

  // Several commands in one round trip; one answer each, in order.
  Async<std::vector<absl::StatusOr<Reply>>> Pipeline(std::vector<Args> commands);

  // Counts the connections made so far: a change between two commands means that the first one's state may be gone.
  uint64_t connects() const;
  // Fails what waits. On the loop, or when the loop has ended; so the destructor, too.
  void Close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// The process's Redis. A command runs on the connection of the caller's loop; from elsewhere on the first loop's.
// Destroyed after the loops have ended.
class Client {
 public:
  Client(Options options, std::vector<asio::any_io_executor> loops);
  ~Client();
  Client(const Client&) = delete;

  Async<Reply> Command(Args args, std::chrono::milliseconds timeout);
  Async<Reply> Command(Args args);
  // Command("GET", key), Command("SET", key, value, "PX", 500)
  template <typename... T>
  Async<Reply> Command(const char* name, const T&... args) {
    return Command(Args(name, args...));
  }

  // Several commands in one round trip; one answer each, in order.
  Async<std::vector<absl::StatusOr<Reply>>> Pipeline(std::vector<Args> commands);

  // A connection of one's own, for commands that block (XREAD).
  std::unique_ptr<Connection> Open(asio::any_io_executor executor) const;

  Async<> Ping();
  const Options& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace crm::redis
