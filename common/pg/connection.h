// One connection to PostgreSQL in libpq's pipeline mode, on one event loop and without threads. Batches are sent as
// they come and answered in order; each is a transaction of its own.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/async.h"
#include "common/pg/batch.h"
#include "common/pg/errors.h"

struct pg_conn;
struct pg_result;

namespace crm::pg {

// A coroutine that waits; resumed once.
struct Waiter {
  virtual ~Waiter() = default;
  virtual void Resume() = 0;
  asio::cancellation_slot slot;
};

using SteadyTime = std::chrono::steady_clock::time_point;

// A batch on its way. Once sent it belongs to the connection; the caller that waits for it may have gone.
struct Flight {
  enum class Outcome {
    kPending,
    kDone,     // committed; `rows` has one entry per item
    kFailed,   // the server said no: undone; `status` says why
    kUndone,   // undone for certain and not the caller's fault: a new connection will do it
    kLost,     // the connection broke: not known whether it was done
    kRefused,  // never sent; `status` says why
    kLeft,     // the caller stopped waiting; if it was sent, the connection still finishes it
  };

  // What is to be sent.
  std::vector<Batch::Item> items;
  std::string tenant;        // uuid text for app.tenant; empty: none, so that no tenant's row can be seen
  bool settings = true;      // false within Transact: its BEGIN has set them
  bool writes = false;       // whatever it is to do takes the number of a transaction first; without what follows
  bool custom_plan = false;  // plan_cache_mode = force_custom_plan
  bool no_seq_scan = false;  // enable_seqscan = off
  bool exclusive = false;    // asks for a connection of its own instead of sending anything
  std::chrono::milliseconds statement_timeout{0};  // 0: what is left until the deadline
  SteadyTime deadline = SteadyTime::max();
#ifdef CRM_FAILPOINTS
  std::string method;  // on whose behalf
#endif

  // What has become of it.
  Outcome outcome = Outcome::kPending;
  absl::Status status;
  ServerError error;   // when kFailed
  std::string failed;  // the statement that it was, then
  std::vector<Rows> rows;
  std::shared_ptr<class Connection> lease;  // when an exclusive one is kDone

  SteadyTime queued;
  SteadyTime sent_time;
  std::unique_ptr<Waiter> waiter;  // who is told; empty when nobody waits
};
using FlightPtr = std::shared_ptr<Flight>;

// Answers kOk when the parameters can travel: a text with a NUL character would be cut off silently.
absl::Status Sendable(const Flight& flight);

// `set_config` of tenant and limits as an item, as it goes first in every batch.
Batch::Item SettingsItem(const Flight& flight);

struct ConnectOptions {
  std::string conninfo;
  std::string password;
  std::string schema;
  std::string name;                               // application_name, for pg_stat_activity: "contact/write"
  std::shared_ptr<std::atomic<uint64_t>> losses;  // counts connections that broke
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `changed` is called on the loop whenever there may be room for more work, or the connection was made or lost.
  Connection(asio::any_io_executor executor, const ConnectOptions& options, std::function<void()> changed);
  ~Connection();
  Connection(const Connection&) = delete;

  // Starts connecting; keeps trying with backoff and jitter until Close.
  void Open();
  // Gives up everything in flight as lost. Not reopened.
  void Close();
  // Takes no more work, finishes what is in flight, then connects anew.
  void Renew();

  // Sends a batch. Only when ready(). The flight's waiter is told on the loop, never from within this call.
  void Send(const FlightPtr& flight);

  bool ready() const { return state_ == State::kReady && !renew_; }
  bool connecting() const { return state_ == State::kConnecting || state_ == State::kBackoff; }
  int load() const { return static_cast<int>(in_flight_.size()); }
  // Changes with every connection made: what was begun under another number is gone.
  uint64_t epoch() const { return epoch_; }
  // Failed attempts since the last success.
  int failures() const { return failures_; }

  // Ends the waiting of those whose deadline has passed; answers the earliest deadline that remains. A connection whose
  // oldest batch is long overdue is taken for dead.
  SteadyTime Expire(SteadyTime now);
  // Ends the waiting for one batch, which the connection finishes all the same.
  static void Leave(const asio::any_io_executor& executor, Flight& flight, absl::Status status);
  // Tells the waiter.
  static void Tell(const asio::any_io_executor& executor, Flight& flight);

  bool leased = false;  // by a Transact; kept by the pool

 private:
  enum class State { kIdle, kConnecting, kBackoff, kReady, kClosed };
  struct Prepared {
    std::string name;  // on the wire
    std::string sql;
    bool ready = false;
  };
  struct InFlight {
    FlightPtr flight;
    std::vector<std::string> parses;  // statement names whose Parse went ahead of it
    int settings = 0;                 // 1 if a settings statement goes first
    int items = 0;
    int cursor = 0;  // commands answered so far
    bool failed = false;
    int failed_command = 0;
  };

  void Connect(const std::string& address);
  void Poll();
  void Established();
  void Failed(const std::string& why);
  void Lost(const std::string& why);
  void Drop();
  bool Watch();
  void Unwatch();
  void WaitRead();
  void WaitWrite();
  void Readable();
  void Flush();
  void Drain();
  void OnResult(pg_result* result);
  void Finish();
  bool SendItem(const Batch::Item& item, InFlight& entry);
  bool ParseAhead(const Batch::Item& item, InFlight& entry);

  asio::any_io_executor executor_;
  const ConnectOptions& options_;
  std::function<void()> changed_;
  asio::posix::stream_descriptor socket_;
  asio::steady_timer timer_;
  asio::ip::tcp::resolver resolver_;
  pg_conn* conn_ = nullptr;
  State state_ = State::kIdle;
  bool renew_ = false;
  bool writing_ = false;      // a write wait is outstanding
  bool result_seen_ = false;  // the current command has answered something
  uint64_t epoch_ = 0;
  int failures_ = 0;
  SteadyTime established_ = SteadyTime::min();
  std::deque<InFlight> in_flight_;
  absl::flat_hash_map<std::string, Prepared> prepared_;  // by statement name
  // Scratch for sending, so that a batch allocates nothing here.
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
};

}  // namespace crm::pg
