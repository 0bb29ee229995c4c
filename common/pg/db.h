// The database as handlers see it. One Db per process; it keeps connections per event loop and kind of work, and speaks
// libpq's pipeline mode, so that every call below is one round trip unless it says otherwise.
//
// Errors: unique violation -> ALREADY_EXISTS naming the constraint (Table adds the existing record), foreign key /
// check / not null -> INVALID_ARGUMENT, serialization and lock -> LostRace, statement timeout -> DEADLINE_EXCEEDED, too
// many waiting -> UNAVAILABLE with RetryInfo, no connection -> UNAVAILABLE. Never a SQLSTATE, never SQL text.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/async.h"
#include "common/base/call.h"
#include "common/base/status.h"
#include "common/pg/batch.h"

namespace crm::pg {

struct DbOptions {
  std::string conninfo;       // without password
  std::string password;       // read from a file by common/app
  std::string schema;         // "contact"
  int point_connections = 2;  // per event loop
  int point_depth = 16;       // batches in flight on one of them
  int list_connections = 2;
  int list_depth = 1;
  int write_connections = 8;
  int write_depth = 1;
  int queue_max = 1024;  // batches waiting per kind of work before new ones are refused
};

template <typename M>
class Table;
struct ListArgs;
template <typename M>
struct Page;
class Transaction;

class Db {
 public:
  // `loops` are the executors that coroutines run on, one thread each; connections are opened at the first use and
  // reopened after a loss. Destroy it when the loops have stopped and before they are gone.
  Db(DbOptions options, std::vector<asio::any_io_executor> loops);
  ~Db();

  // Runs a read-only batch; one Rows per statement. Safe to repeat, so a lost connection is retried once.
  // `force_custom_plan` is set for filters and searches.
  struct ReadOptions {
    Work work = Work::kPoint;
    bool force_custom_plan = false;
    bool no_seq_scan = false;
    std::chrono::milliseconds statement_timeout{0};  // 0: what is left of the call's deadline
  };
  Async<std::vector<Rows>> Read(const Call& call, Batch batch, ReadOptions options);
  Async<std::vector<Rows>> Read(const Call& call, Batch batch) { return Read(call, std::move(batch), ReadOptions()); }
  // One statement.
  Async<Rows> Read(const Call& call, const Statement& statement, Params params, Work work = Work::kPoint);

  // A record by id, or NOT_FOUND: also when it is deleted (unless `show_deleted`), of another tenant, or outside the
  // caller's own / team / all scope for `action`.
  template <typename M>
  Async<M> Get(const Call& call, const Table<M>& table, std::string id, type::v1::Action action = type::v1::ACTION_READ,
               bool show_deleted = false);
  template <typename M>
  Async<std::vector<M>> BatchGet(const Call& call, const Table<M>& table, std::vector<std::string> ids);
  // One page; see table.h. ListArgs has filter, order_by, page_size, page_token, count, query.
  template <typename M>
  Async<Page<M>> List(const Call& call, const Table<M>& table, ListArgs args);

  // The guarded write. `build` fills the batch and answers the reply; it must not touch the outside world. The
  // idempotency row goes first; on its conflict the stored reply is answered (or IDEMPOTENCY_KEY_REUSED). Sent again
  // with the same key after a lost connection. Success means committed.
  template <typename Build>
  auto Once(const Call& call, Build build) -> Async<std::decay_t<decltype(*build(std::declval<Batch&>()))>>;
  // ... when the batch is ready, with the reply beside it.
  Async<std::string> OnceBytes(const Call& call, Batch batch, std::string reply);
  // ... and nullopt if it is this reply that is now stored.
  Async<std::optional<std::string>> OnceKept(const Call& call, Batch batch, std::string reply);

  // The reply that this call's idempotency key already has, from the same request; nullopt if it has none, and
  // IDEMPOTENCY_KEY_REUSED if another request had it. For handlers that fail because what they were asked for is done:
  // the first answer got lost on its way.
  Async<std::optional<std::string>> KeptReply(const Call& call);

  // A write without idempotency row, for consumers and jobs, whose own guards make repeating harmless.
  Async<std::vector<Rows>> Write(const Call& call, Batch batch);

  // An exclusive connection with BEGIN and COMMIT, for stock, gapless numbers and ledgers: `body` may read with FOR
  // UPDATE and decide. Rolled back unless it answers OK. Several round trips.
  Async<> Transact(const Call& call, std::function<Async<>(Transaction&)> body);

  // Called with the tenant after each commit that wrote events, on the writer's loop: the relay is told. Set before the
  // first write; nothing depends on it being called.
  void OnEmit(std::function<void(const Uuid& tenant)> listener);

  const std::string& schema() const;
  // How many connections broke so far. When it grows the server may have crashed, and with it commits that did not wait
  // for the disk (synchronous_commit off) are gone: who relies on one asks the database again.
  uint64_t losses() const;
  // True when a connection of each kind answers; for readiness.
  Async<> Ping();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Transaction {
 public:
  virtual ~Transaction() = default;
  virtual Async<Rows> Run(const Statement& statement, Params params) = 0;
  virtual Async<> Run(Batch batch) = 0;
};

template <typename Build>
auto Db::Once(const Call& call, Build build) -> Async<std::decay_t<decltype(*build(std::declval<Batch&>()))>> {
  using Reply = std::decay_t<decltype(*build(std::declval<Batch&>()))>;
  Batch batch(call);
  absl::StatusOr<Reply> reply = build(batch);
  if (!reply.ok()) co_return reply.status();
  CRM_CO_TRY(const auto stored, co_await OnceKept(call, std::move(batch), reply->SerializeAsString()));
  if (stored && !reply->ParseFromString(*stored)) co_return absl::InternalError("the stored reply cannot be read");
  co_return std::move(reply);
}

}  // namespace crm::pg
