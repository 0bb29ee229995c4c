#include "common/pg/db.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/obs/log.h"
#include "common/pg/pool.h"

namespace crm::pg {
namespace store {

using Outcome = Flight::Outcome;

// How often a write is sent again after its connection was lost, and a read.
constexpr int kOnceAttempts = 3;
constexpr int kReadAttempts = 2;
constexpr auto kPingTimeout = std::chrono::seconds(2);
constexpr auto kRollbackTimeout = std::chrono::seconds(5);

const Statement kKeep{"pg.keep_reply",
                      "INSERT INTO idempotency (tenant_id, key, method, body_hash, reply) VALUES ($1, $2, $3, $4, $5)"};
const Statement kKept{"pg.kept_reply", "SELECT method, body_hash, reply FROM idempotency_view WHERE key = $1"};
const Statement kPing{"pg.ping", "SELECT clock_timestamp()"};
const Statement kBegin{"pg.begin", "BEGIN"};
const Statement kCommit{"pg.commit", "COMMIT"};
const Statement kRollback{"pg.rollback", "ROLLBACK"};

FlightPtr NewFlight(const Call& call, std::vector<Batch::Item> items) {
  auto flight = std::make_shared<Flight>();
  flight->items = std::move(items);
  for (Batch::Item& item : flight->items) {
    for (size_t column = 0; !item.rows.empty() && column < item.rows[0].size(); ++column) {
      item.params.Column(item.rows, column);
    }
    item.rows.clear();
  }
  if (!call.tenant().IsNil()) flight->tenant = call.tenant().ToString();
  flight->deadline = call.deadline;
#ifdef CRM_FAILPOINTS
  flight->method = call.method;
#endif
  return flight;
}

Batch::Item ItemOf(const Statement& statement) {
  Batch::Item item;
  item.statement = &statement;
  return item;
}

// The flight's error for the caller. What is our own fault is logged with its reason, which the caller is not told.
absl::Status Answer(const Call& call, Flight& flight) {
  if (flight.outcome == Outcome::kFailed && flight.status.code() == absl::StatusCode::kInternal) {
    obs::Log(obs::Level::kError, call, "the database refused a statement",
             {{"statement", flight.failed}, {"sqlstate", flight.error.sqlstate}, {"why", flight.error.message}});
  }
  return std::move(flight.status);
}

// True when the batch may be sent once more: nothing of it happened, or `repeatable` makes that harmless.
bool Again(const Flight& flight, bool repeatable, int attempt, int attempts) {
  if (attempt >= attempts) return false;
  return flight.outcome == Outcome::kUndone || (repeatable && flight.outcome == Outcome::kLost);
}

}  // namespace store

struct Db::Impl {
  struct Loop {
    asio::execution_context* context;
    std::unique_ptr<Pool> point, list, write;
  };
  DbOptions options;
  std::vector<Loop> loops;
  std::function<void(const Uuid&)> on_emit;
  std::shared_ptr<std::atomic<uint64_t>> losses = std::make_shared<std::atomic<uint64_t>>(0);

  void Emitted(const Call& call, bool emits) {
    if (emits && on_emit) on_emit(call.tenant());
  }

  Pool& PoolOf(const asio::any_io_executor& executor, Work work) {
    asio::execution_context* context = &asio::query(executor, asio::execution::context);
    Loop* found = nullptr;
    for (Loop& loop : loops) {
      if (loop.context == context) found = &loop;
    }
    if (found == nullptr) {
      obs::Log(obs::Level::kError, "a coroutine uses the database from a loop that it was not made for");
      std::abort();
    }
    switch (work) {
      case Work::kPoint:
        return *found->point;
      case Work::kList:
        return *found->list;
      case Work::kWrite:
        break;
    }
    return *found->write;
  }
};

Db::Db(DbOptions options, std::vector<asio::any_io_executor> loops) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  const DbOptions& o = impl_->options;
  for (const asio::any_io_executor& executor : loops) {
    auto pool = [&](const char* work, int connections, int depth) {
      PoolOptions pool_options;
      pool_options.connect = {o.conninfo, o.password, o.schema, absl::StrCat(o.schema, "/", work), impl_->losses};
      pool_options.connections = std::max(connections, 1);
      pool_options.depth = std::max(depth, 1);
      pool_options.queue_max = o.queue_max;
      pool_options.work = work;
      return std::make_unique<Pool>(executor, std::move(pool_options));
    };
    Impl::Loop& loop = impl_->loops.emplace_back();
    loop.context = &asio::query(executor, asio::execution::context);
    loop.point = pool("point", o.point_connections, o.point_depth);
    loop.list = pool("list", o.list_connections, o.list_depth);
    loop.write = pool("write", o.write_connections, o.write_depth);
  }
}

Db::~Db() = default;

uint64_t Db::losses() const { return impl_->losses->load(); }
const std::string& Db::schema() const { return impl_->options.schema; }

namespace store {

absl::Status KeyReused(const std::string& key) {
  return Error(absl::StatusCode::kInvalidArgument, Reason::ERROR_REASON_IDEMPOTENCY_KEY_REUSED,
               "the idempotency key was used with another request; use a new key for each request",
               {{"idempotency_key", key}});
}

}  // namespace store

void Db::OnEmit(std::function<void(const Uuid& tenant)> listener) { impl_->on_emit = std::move(listener); }

Async<std::vector<Rows>> Db::Read(const Call& call, Batch batch, ReadOptions options) {
  CRM_CO_TRY(batch.status());
  Pool& pool = impl_->PoolOf(co_await asio::this_coro::executor, options.work);
  std::vector<Batch::Item> items = std::move(batch.items());
  for (int attempt = 1;; ++attempt) {
    FlightPtr flight = store::NewFlight(call, std::move(items));
    flight->custom_plan = options.force_custom_plan;
    flight->no_seq_scan = options.no_seq_scan;
    flight->statement_timeout = options.statement_timeout;
    co_await pool.Run(flight);
    if (flight->outcome == store::Outcome::kDone) co_return std::move(flight->rows);
    if (!store::Again(*flight, true, attempt, store::kReadAttempts)) co_return store::Answer(call, *flight);
    items = std::move(flight->items);
  }
}

Async<Rows> Db::Read(const Call& call, const Statement& statement, Params params, Work work) {
  Batch batch(call);
  batch.Add(statement, std::move(params));
  ReadOptions options;
  options.work = work;
  CRM_CO_TRY(std::vector<Rows> rows, co_await Read(call, std::move(batch), options));
  co_return std::move(rows[0]);
}

Async<std::vector<Rows>> Db::Write(const Call& call, Batch batch) {
  CRM_CO_TRY(batch.status());
  Pool& pool = impl_->PoolOf(co_await asio::this_coro::executor, Work::kWrite);
  const bool emits = batch.emits();
  std::vector<Batch::Item> items = std::move(batch.items());
  for (int attempt = 1;; ++attempt) {
    FlightPtr flight = store::NewFlight(call, std::move(items));
    flight->writes = true;
    co_await pool.Run(flight);
    if (flight->outcome == store::Outcome::kDone) {
      impl_->Emitted(call, emits);
      CRM_FAILPOINT_CO_RETURN_OF("pg.before_reply", call.method);
      co_return std::move(flight->rows);
    }
    if (!store::Again(*flight, false, attempt, store::kOnceAttempts)) co_return store::Answer(call, *flight);
    items = std::move(flight->items);
  }
}

Async<std::string> Db::OnceBytes(const Call& call, Batch batch, std::string reply) {
  CRM_CO_TRY(auto kept, co_await OnceKept(call, std::move(batch), reply));
  co_return kept ? *std::move(kept) : std::move(reply);
}

Async<std::optional<std::string>> Db::OnceKept(const Call& call, Batch batch, std::string reply) {
  CRM_CO_TRY(batch.status());
  if (call.tenant().IsNil()) {
    obs::Log(obs::Level::kError, call, "a write without a tenant: the handler must name the tenant in its Call");
    co_return Error(absl::StatusCode::kInternal, Reason::ERROR_REASON_INTERNAL,
                    "the server tried to write without a tenant; quote the request id when you report it");
  }
  Pool& pool = impl_->PoolOf(co_await asio::this_coro::executor, Work::kWrite);
  const std::string key = call.idempotency_key.empty() ? NewUuid(Now()).ToString() : call.idempotency_key;
  const bool emits = batch.emits();
  std::vector<Batch::Item> items;
  items.reserve(batch.items().size() + 1);
  Batch::Item& keep = items.emplace_back(store::ItemOf(store::kKeep));
  keep.params.Id(call.tenant()).Text(key).Text(call.method).Bytes(call.body_hash).Bytes(reply);
  std::move(batch.items().begin(), batch.items().end(), std::back_inserter(items));

  for (int attempt = 1;; ++attempt) {
    FlightPtr flight = store::NewFlight(call, std::move(items));
    flight->writes = true;
    co_await pool.Run(flight);
    if (flight->outcome == store::Outcome::kDone) {
      impl_->Emitted(call, emits);
      CRM_FAILPOINT_CO_RETURN_OF("pg.before_reply", call.method);
      co_return std::nullopt;
    }
    if (flight->outcome == store::Outcome::kFailed && flight->error.constraint == kIdempotencyConstraint &&
        flight->error.sqlstate == "23505") {
      break;
    }
    if (!store::Again(*flight, true, attempt, store::kOnceAttempts)) co_return store::Answer(call, *flight);
    items = std::move(flight->items);
  }

  // The key has been used: by this very write before its answer was lost, by a repeated request, or by another one.
  CRM_CO_TRY(Rows kept, co_await Read(call, store::kKept, Params().Text(key)));
  if (kept.empty()) {
    co_return Error(absl::StatusCode::kUnavailable, Reason::ERROR_REASON_UNAVAILABLE,
                    "the answer to this idempotency key has just expired; send the request again with a new key");
  }
  if (kept.Text(0, 0) != call.method || kept.Bytes(0, 1) != call.body_hash) co_return store::KeyReused(key);
  co_return std::string(kept.Bytes(0, 2));
}

Async<std::optional<std::string>> Db::KeptReply(const Call& call) {
  if (call.tenant().IsNil() || call.idempotency_key.empty()) co_return std::nullopt;
  CRM_CO_TRY(Rows kept, co_await Read(call, store::kKept, Params().Text(call.idempotency_key)));
  if (kept.empty()) co_return std::nullopt;
  if (kept.Text(0, 0) != call.method || kept.Bytes(0, 1) != call.body_hash)
    co_return store::KeyReused(call.idempotency_key);
  co_return std::string(kept.Bytes(0, 2));
}

namespace store {

// A connection of one's own for the time of a transaction. Left in the middle, e.g. because the caller went away, it is
// closed, which rolls back.
class Lease {
 public:
  Lease(Pool& pool, std::shared_ptr<Connection> connection)
      : pool_(pool), connection_(std::move(connection)), epoch_(connection_->epoch()) {}
  ~Lease() {
    if (!clean_ && connection_->epoch() == epoch_) connection_->Renew();
    pool_.Release(connection_);
  }
  Lease(const Lease&) = delete;

  asio::awaitable<void> Run(const FlightPtr& flight) { return pool_.RunOn(connection_, epoch_, flight); }

  // Undoes without waiting: the connection does it before anything else.
  void Rollback() {
    clean_ = true;
    if (!connection_->ready() || connection_->epoch() != epoch_) return;
    auto flight = std::make_shared<Flight>();
    flight->items.push_back(ItemOf(kRollback));
    flight->settings = false;
    flight->deadline = std::chrono::steady_clock::now() + kRollbackTimeout;
    connection_->Send(flight);
  }
  void Clean() { clean_ = true; }

 private:
  Pool& pool_;
  std::shared_ptr<Connection> connection_;
  uint64_t epoch_;
  bool clean_ = false;
};

class LeasedTransaction final : public Transaction {
 public:
  LeasedTransaction(const Call& call, Lease& lease) : call_(call), lease_(lease) {}

  Async<Rows> Run(const Statement& statement, Params params) override {
    std::vector<Batch::Item> items(1, ItemOf(statement));
    items[0].params = std::move(params);
    FlightPtr flight = NewFlight(call_, std::move(items));
    flight->settings = false;
    co_await lease_.Run(flight);
    if (flight->outcome != Outcome::kDone) co_return Broken(*flight);
    co_return std::move(flight->rows[0]);
  }

  Async<> Run(Batch batch) override {
    if (!batch.status().ok()) {
      status_.Update(batch.status());
      co_return batch.status();
    }
    emits_ = emits_ || batch.emits();
    FlightPtr flight = NewFlight(call_, std::move(batch.items()));
    flight->settings = false;
    co_await lease_.Run(flight);
    if (flight->outcome != Outcome::kDone) co_return Broken(*flight);
    co_return absl::OkStatus();
  }

  // The first error of any statement: nothing after it counts.
  const absl::Status& status() const { return status_; }
  // True if it has written events.
  bool emits() const { return emits_; }
  // True when it is not known what the server is doing with the transaction.
  bool lost() const { return lost_; }

 private:
  absl::Status Broken(Flight& flight) {
    if (flight.outcome == Outcome::kLost || flight.outcome == Outcome::kLeft) lost_ = true;
    absl::Status status = Answer(call_, flight);
    if (status_.ok()) status_ = status;
    return status;
  }

  const Call& call_;
  Lease& lease_;
  absl::Status status_;
  bool emits_ = false;
  bool lost_ = false;
};

}  // namespace store

Async<> Db::Transact(const Call& call, std::function<Async<>(Transaction&)> body) {
  Pool& pool = impl_->PoolOf(co_await asio::this_coro::executor, Work::kWrite);
  FlightPtr ask = store::NewFlight(call, {});
  ask->exclusive = true;
  co_await pool.Run(ask);
  if (ask->outcome != store::Outcome::kDone) co_return std::move(ask->status);
  store::Lease lease(pool, std::move(ask->lease));

  FlightPtr begin = store::NewFlight(call, {});
  begin->writes = true;
  begin->items.push_back(store::ItemOf(store::kBegin));
  begin->items.push_back(SettingsItem(*begin));
  begin->settings = false;
  co_await lease.Run(begin);
  if (begin->outcome != store::Outcome::kDone) co_return store::Answer(call, *begin);

  store::LeasedTransaction transaction(call, lease);
  absl::Status status = co_await body(transaction);
  // A body that overlooks a refused statement must not believe that it has committed.
  if (status.ok()) status = transaction.status();
  if (!status.ok()) {
    if (!transaction.lost()) lease.Rollback();
    co_return status;
  }

  FlightPtr commit = store::NewFlight(call, std::vector<Batch::Item>(1, store::ItemOf(store::kCommit)));
  commit->settings = false;
  co_await lease.Run(commit);
  if (commit->outcome != store::Outcome::kDone) {
    if (commit->outcome == store::Outcome::kFailed) lease.Clean();  // a deferred constraint: rolled back by the server
    co_return store::Answer(call, *commit);
  }
  lease.Clean();
  if (commit->rows[0].command() != "COMMIT") {
    co_return Error(absl::StatusCode::kInternal, Reason::ERROR_REASON_INTERNAL,
                    "the transaction was undone; quote the request id when you report it");
  }
  impl_->Emitted(call, transaction.emits());
  CRM_FAILPOINT_CO_RETURN_OF("pg.before_reply", call.method);
  co_return absl::OkStatus();
}

Async<> Db::Ping() {
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  for (Work work : {Work::kPoint, Work::kList, Work::kWrite}) {
    auto flight = std::make_shared<Flight>();
    flight->items.push_back(store::ItemOf(store::kPing));
    const auto asked = std::chrono::steady_clock::now();
    flight->deadline = asked + store::kPingTimeout;
    co_await impl_->PoolOf(executor, work).Run(flight);
    if (flight->outcome != store::Outcome::kDone) co_return std::move(flight->status);
    LearnTime(asked, std::chrono::steady_clock::now(), flight->rows.at(0).Time(0, 0));
  }
  co_return absl::OkStatus();
}

}  // namespace crm::pg
