#include "common/pg/pool.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>
#include <utility>

#include "common/base/error.h"
#include "common/pg/model.h"

namespace crm::pg {
namespace line {

Model* used_model = nullptr;

using namespace std::chrono_literals;

// How long a batch waits for the first connection while the server turns us away, e.g. while it restarts.
constexpr auto kPatience = 3s;

absl::Status Overloaded(const char* work, int queue_max) {
  absl::Status status =
      Error(absl::StatusCode::kUnavailable, Reason::ERROR_REASON_OVERLOADED,
            absl::StrCat("more requests wait for the database than can be done in time; send it again later"),
            {{"work", work}, {"limit", std::to_string(queue_max)}});
  thread_local std::minstd_rand random{std::random_device{}()};
  SetRetryDelay(status, std::chrono::milliseconds(std::uniform_int_distribution<int>(200, 600)(random)));
  return status;
}

absl::Status TooLate() {
  return Error(absl::StatusCode::kDeadlineExceeded, Reason::ERROR_REASON_DEADLINE_EXCEEDED,
               "the deadline passed before the database had room; nothing was done, send it again");
}

absl::Status Left() {
  return Error(absl::StatusCode::kCancelled, Reason::ERROR_REASON_DEADLINE_EXCEEDED,
               "the caller stopped waiting; a write may have been done");
}

}  // namespace line

Pool::Pool(asio::any_io_executor executor, PoolOptions options)
    : executor_(executor),
      options_(std::move(options)),
      timer_(executor),
      wait_seconds_(obs::MakeHistogram("crm_pg_wait_seconds", "Time that batches waited for a connection",
                                       {{"work", options_.work}})),
      refused_(obs::MakeCounter("crm_pg_refused_total", "Batches refused because too many were waiting",
                                {{"work", options_.work}})) {}

Pool::~Pool() {
  *alive_ = false;
  for (const FlightPtr& flight : queue_) Refuse(*flight, Translate(ServerError{"08006", "", "", "", ""}, "", ""));
  for (const auto& connection : connections_) connection->Close();
}

namespace line {

template <typename Handler>
struct WaiterOf final : Waiter {
  explicit WaiterOf(Handler h) : handler(std::move(h)) {}
  void Resume() override {
    Handler resumed = std::move(handler);
    std::move(resumed)();
  }
  Handler handler;
};

// Hands the waiting over to the flight; a cancelled caller leaves it behind.
template <typename Start>
asio::awaitable<void> Wait(const asio::any_io_executor& executor, FlightPtr flight, Start start) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [executor, flight = std::move(flight), start = std::move(start)](auto handler) mutable {
        auto slot = asio::get_associated_cancellation_slot(handler);
        flight->waiter = std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler));
        flight->waiter->slot = slot;
        if (slot.is_connected()) {
          slot.assign([executor, weak = std::weak_ptr<Flight>(flight)](asio::cancellation_type) {
            if (FlightPtr left = weak.lock()) {
              // The slot is being emitted: the waiter is told without touching it.
              if (left->outcome != Flight::Outcome::kPending || !left->waiter) return;
              left->outcome = Flight::Outcome::kLeft;
              left->status = Left();
              asio::post(executor, [waiter = std::move(left->waiter)] { waiter->Resume(); });
            }
          });
        }
        start(flight);
      },
      asio::use_awaitable);
}

}  // namespace line

void UseModel(Model* model) { line::used_model = model; }
Model* UsedModel() { return line::used_model; }

asio::awaitable<void> Pool::Run(const FlightPtr& flight) {
#ifdef CRM_FAILPOINTS
  if (line::used_model != nullptr) return line::used_model->Run(options_.connect, flight);
#endif
  return line::Wait(executor_, flight, [this](const FlightPtr& f) { Start(f); });
}

asio::awaitable<void> Pool::RunOn(const std::shared_ptr<Connection>& connection, uint64_t epoch,
                                  const FlightPtr& flight) {
  return line::Wait(executor_, flight, [this, connection, epoch](const FlightPtr& f) {
    absl::Status sendable = Sendable(*f);
    if (!sendable.ok()) return Refuse(*f, std::move(sendable));
    if (!connection->ready() || connection->epoch() != epoch) {
      f->outcome = Flight::Outcome::kLost;
      f->status = Translate(ServerError{"08006", "", "", "", ""}, "", "");
      return Connection::Tell(executor_, *f);
    }
    connection->Send(f);
    Arm(f->deadline);
  });
}

void Pool::Release(const std::shared_ptr<Connection>& connection) {
  connection->leased = false;
  Pump();
}

void Pool::Refuse(Flight& flight, absl::Status status) {
  if (flight.outcome != Flight::Outcome::kPending) return;
  flight.outcome = Flight::Outcome::kRefused;
  flight.status = std::move(status);
  Connection::Tell(executor_, flight);
}

void Pool::Start(const FlightPtr& flight) {
  SteadyTime now = std::chrono::steady_clock::now();
  if (flight->deadline <= now) return Refuse(*flight, line::TooLate());
  absl::Status sendable = Sendable(*flight);
  if (!sendable.ok()) return Refuse(*flight, std::move(sendable));
  flight->queued = now;
  if (queue_.empty() && !flight->exclusive) {
    if (Connection* connection = Choose(false)) {
      connection->Send(flight);
      Arm(flight->deadline);
      MaybeOpen();
      return;
    }
  }
  if (static_cast<int>(queue_.size()) >= options_.queue_max) {
    refused_.Add();
    return Refuse(*flight, line::Overloaded(options_.work, options_.queue_max));
  }
  queue_.push_back(flight);
  Arm(flight->deadline);
  Pump();
}

Connection* Pool::Choose(bool exclusive) {
  Connection* best = nullptr;
  int limit = exclusive ? 1 : options_.depth;
  for (const auto& connection : connections_) {
    if (!connection->ready() || connection->leased || connection->load() >= limit) continue;
    if (best == nullptr || connection->load() < best->load()) best = connection.get();
  }
  return best;
}

// Opens one more when every open one is busy; a connection costs a process in the server, so never more at once than
// there is work waiting.
void Pool::MaybeOpen() {
  int connecting = 0;
  for (const auto& connection : connections_) {
    if (connection->ready() && !connection->leased && connection->load() == 0) return;
    if (connection->connecting()) ++connecting;
  }
  int wanted = std::max<int>(1, static_cast<int>(queue_.size()));
  while (connecting < wanted && static_cast<int>(connections_.size()) < options_.connections) {
    auto connection = std::make_shared<Connection>(executor_, options_.connect, [this, alive = alive_] {
      if (*alive) Pump();
    });
    connections_.push_back(connection);
    ++connecting;
    connection->Open();
  }
}

void Pool::Pump() {
  // A connection that breaks while it is being sent to calls back here.
  if (pumping_) {
    again_ = true;
    return;
  }
  pumping_ = true;
  do {
    again_ = false;
    while (!queue_.empty()) {
      FlightPtr flight = queue_.front();
      SteadyTime now = std::chrono::steady_clock::now();
      if (flight->outcome != Flight::Outcome::kPending) {
        queue_.pop_front();
        continue;
      }
      if (flight->deadline <= now) {
        queue_.pop_front();
        Refuse(*flight, line::TooLate());
        continue;
      }
      Connection* connection = Choose(flight->exclusive);
      if (connection == nullptr) break;
      queue_.pop_front();
      wait_seconds_.Observe(now - flight->queued);
      if (flight->exclusive) {
        connection->leased = true;
        flight->lease = connection->shared_from_this();
        flight->outcome = Flight::Outcome::kDone;
        Connection::Tell(executor_, *flight);
      } else {
        connection->Send(flight);
      }
    }
  } while (again_);
  pumping_ = false;
  if (queue_.empty()) return;
  // While the server turns us away, those who have waited long enough are told so.
  bool turned_away = !connections_.empty();
  for (const auto& connection : connections_)
    turned_away = turned_away && connection->failures() > 0 && connection->connecting();
  if (turned_away) {
    SteadyTime patient_since = std::chrono::steady_clock::now() - line::kPatience;
    while (!queue_.empty() && queue_.front()->queued <= patient_since) {
      Refuse(*queue_.front(), Translate(ServerError{"08006", "", "", "", ""}, "", ""));
      queue_.pop_front();
    }
    return;
  }
  MaybeOpen();
}

// One timer for all waiting callers, set to the earliest deadline: a batch costs no timer of its own.
void Pool::Arm(SteadyTime deadline) {
  if (deadline >= armed_) return;
  armed_ = deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([this, alive = alive_](boost::system::error_code ec) {
    if (!ec && *alive) OnTimer();
  });
}

void Pool::OnTimer() {
  armed_ = SteadyTime::max();
  SteadyTime now = std::chrono::steady_clock::now();
  SteadyTime next = SteadyTime::max();
  for (auto it = queue_.begin(); it != queue_.end();) {
    if ((*it)->outcome == Flight::Outcome::kPending && (*it)->deadline > now) {
      next = std::min(next, (*it)->deadline);
      ++it;
      continue;
    }
    FlightPtr flight = *it;
    it = queue_.erase(it);
    Refuse(*flight, line::TooLate());
  }
  // Lost connections call Pump, which must not change what is iterated.
  std::vector<std::shared_ptr<Connection>> connections = connections_;
  for (const auto& connection : connections) next = std::min(next, connection->Expire(now));
  if (next != SteadyTime::max()) Arm(next);
  Pump();
}

}  // namespace crm::pg
