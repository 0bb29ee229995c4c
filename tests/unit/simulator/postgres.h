// PostgreSQL as far as relay, consumers, timers and senders use it: a model of each of their statements over tables in memory, with
// transactions (READ COMMITTED: a statement sees what is committed when it runs, and its own transaction), row locks that are
// waited for, skipped or end in a deadlock's error, commits that do not wait for the disk and are forgotten by a crash. Any
// number of statements of different transactions interleave.
//
// A model is written for one text of a statement. When the text changes, whoever changes it is told to look at the model:
// Register names the text's fingerprint.
#pragma once

#include <absl/time/time.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/id.h"
#include "common/pg/model.h"
#include "common/pg/table.h"
#include "tests/unit/simulator/network.h"

namespace crm::sim {

class Txn;

// Thrown by a statement that meets another transaction's lock; it is run again when that has ended.
struct Blocked {
  Txn* by;
};

class TableBase {
 public:
  virtual ~TableBase() = default;
  virtual void Commit(Txn* txn, std::vector<std::function<void()>>& undo) = 0;
  virtual void Rollback(Txn* txn) = 0;
};

// Rows by key. What a transaction has changed is its own until it commits.
template <typename Key, typename Row>
class Rows final : public TableBase {
 public:
  using Change = std::map<Key, std::optional<Row>>;

  const Row* Find(Txn* txn, const Key& key) const {
    if (auto mine = changes_.find(txn); mine != changes_.end()) {
      if (auto changed = mine->second.find(key); changed != mine->second.end()) {
        return changed->second ? &*changed->second : nullptr;
      }
    }
    auto row = rows_.find(key);
    return row == rows_.end() ? nullptr : &row->second;
  }
  // As FOR UPDATE: waits for whoever holds it.
  void Lock(Txn* txn, const Key& key) {
    auto [held, fresh] = locks_.emplace(key, txn);
    if (!fresh && held->second != txn) throw Blocked{held->second};
  }
  bool LockedByOther(Txn* txn, const Key& key) const {
    auto held = locks_.find(key);
    return held != locks_.end() && held->second != txn;
  }
  void Put(Txn* txn, const Key& key, Row row) {
    Lock(txn, key);
    changes_[txn][key] = std::move(row);
  }
  void Erase(Txn* txn, const Key& key) {
    Lock(txn, key);
    changes_[txn][key] = std::nullopt;
  }
  // The rows that the transaction sees, in the order of their keys. `see` must not change the table.
  template <typename See>
  void Each(Txn* txn, See see) const {
    auto mine = changes_.find(txn);
    if (mine == changes_.end()) {
      for (const auto& [key, row] : rows_) see(key, row);
      return;
    }
    std::map<Key, Row> seen = rows_;
    for (const auto& [key, row] : mine->second) {
      if (row) {
        seen.insert_or_assign(key, *row);
      } else {
        seen.erase(key);
      }
    }
    for (const auto& [key, row] : seen) see(key, row);
  }
  // What is committed.
  const std::map<Key, Row>& rows() const { return rows_; }

  void Commit(Txn* txn, std::vector<std::function<void()>>& undo) override {
    if (auto mine = changes_.find(txn); mine != changes_.end()) {
      for (auto& [key, row] : mine->second) {
        std::optional<Row> before;
        if (auto old = rows_.find(key); old != rows_.end()) before = old->second;
        undo.push_back([this, key = key, before = std::move(before)] {
          if (before) {
            rows_.insert_or_assign(key, *before);
          } else {
            rows_.erase(key);
          }
        });
        if (row) {
          rows_.insert_or_assign(key, *std::move(row));
        } else {
          rows_.erase(key);
        }
      }
    }
    Rollback(txn);
  }
  void Rollback(Txn* txn) override {
    changes_.erase(txn);
    std::erase_if(locks_, [txn](const auto& lock) { return lock.second == txn; });
  }

 private:
  std::map<Key, Row> rows_;
  std::map<Key, Txn*> locks_;
  std::map<Txn*, Change> changes_;
};

// ---- the tables of common/pg/migrations, and those of the simulated services ----

struct OutboxRow {
  int64_t seq = 0;  // 0: NULL
  std::string record, event;
  absl::Time create_time;
};
struct AttemptRow {
  int64_t attempts = 0;
  std::string error;
};
struct LetterRow {
  std::string record, event;
  int64_t attempts = 0;
  std::string error;
  absl::Time create_time;
};
struct EffectRow {
  Uuid tenant;
  std::string record;
  int64_t value = 0;
};
struct TimerRow {
  std::string kind, subject, key;
  absl::Time due, wake;
  std::string payload;
  int64_t fence = 0, attempts = 0;
  std::string error, holder;
};
struct FiredRow {
  std::string subject, key;
  absl::Time due, at;
};
struct SendRow {
  absl::Time due;
  std::vector<std::string> recipients;
  std::string rule_id, run_id;
  int64_t depth = 0, token = 0, attempts = 0, doubts = 0;
  bool begun = false;
  std::string holder;
};
struct KeptRow {
  std::string method, body_hash, reply;
};
// A record of pg::Table: its columns as PostgreSQL would answer them, none for NULL.
using RecordRow = std::map<std::string, std::optional<std::string>>;

using TenantSeq = std::pair<Uuid, int64_t>;
using Heard = std::pair<Uuid, std::string>;  // tenant, producer
using HeardSeq = std::pair<Heard, int64_t>;
using SendKey = std::pair<Uuid, Uuid>;                         // tenant, message
using RowKey = std::pair<std::string, std::pair<Uuid, Uuid>>;  // table; tenant, id

struct Schema {
  Rows<TenantSeq, OutboxRow> outbox;
  Rows<Uuid, int64_t> lane;
  Rows<Heard, int64_t> position;
  Rows<HeardSeq, AttemptRow> event_attempt;
  Rows<HeardSeq, LetterRow> dead_letter;
  Rows<std::pair<std::string, std::string>, absl::Time> bucket_lease;  // consumer, holder
  Rows<std::pair<Uuid, std::string>, int64_t> record;  // what the simulated handlers revise: its revision
  Rows<int64_t, EffectRow> effect;
  Rows<std::pair<Uuid, Uuid>, TimerRow> timer;
  Rows<int64_t, FiredRow> fired;
  Rows<SendKey, SendRow> send;
  Rows<RowKey, RecordRow> row;
  Rows<std::pair<Uuid, std::string>, std::string> suppressed;  // tenant, address: the unique index, with the note
  Rows<std::pair<Uuid, Uuid>, std::string> channel_secret;     // tenant, channel
  Rows<std::pair<Uuid, Uuid>, std::string> webhook_secret;     // tenant, webhook
  Rows<std::pair<Uuid, std::string>, KeptRow> idempotency;     // tenant, key

  std::vector<TableBase*> All() {
    return {&outbox, &lane,  &position, &event_attempt, &dead_letter, &bucket_lease,   &record,         &effect,
            &timer,  &fired, &send,     &row,           &suppressed,  &channel_secret, &webhook_secret, &idempotency};
  }
};

// ---- statements ----

// The parameters of a statement, read as their types.
class Given {
 public:
  explicit Given(const pg::Params& params) : values_(params.values()) {}
  const std::string& Text(size_t index) const { return values_.at(index - 1).data; }
  int64_t Int(size_t index) const { return std::stoll(Text(index)); }
  double Double(size_t index) const { return std::stod(Text(index)); }
  Uuid Id(size_t index) const;
  absl::Time Time(size_t index) const;
  std::vector<int64_t> Ints(size_t index) const;
  std::vector<Uuid> Ids(size_t index) const;
  std::vector<std::string> Texts(size_t index) const;  // without commas, quotes and backslashes
  bool Null(size_t index) const { return values_.at(index - 1).null; }

 private:
  const std::vector<pg::Params::Value>& values_;
};

inline constexpr int64_t kPostgresEpochMicros = 946'684'800'000'000;  // 2000-01-01

// The rows that a statement answers, in PostgreSQL's binary format.
class Answer {
 public:
  Answer& Row() {
    rows_.emplace_back();
    return *this;
  }
  Answer& Int(int64_t value);
  Answer& Text(std::string value);
  Answer& Bytes(std::string value) { return Text(std::move(value)); }
  Answer& Id(const Uuid& value);
  Answer& Bool(bool value) { return Text(std::string(1, value ? '\1' : '\0')); }
  Answer& Double(double value);
  Answer& Time(absl::Time value);
  Answer& Texts(const std::vector<std::string>& values);
  Answer& Cell(std::optional<std::string> value) {  // as PostgreSQL sends it
    rows_.back().push_back(std::move(value));
    return *this;
  }
  const std::optional<std::string>& cell() const { return rows_.back().back(); }  // the last one
  bool empty() const { return rows_.empty(); }
  pg::Rows Make() const;

 private:
  std::vector<std::vector<std::optional<std::string>>> rows_;
};

struct Running {
  class Postgres& database;
  Schema& schema;
  Txn* txn;
  Given given;
  Answer& answer;
  absl::Time now;  // when the transaction began
  const pg::Statement& statement;
  Uuid tenant;  // app.tenant: whose rows the views show
  absl::Time Clock() const;
  // Of a sequence: handed out at once, not undone by a rollback.
  int64_t NextId();
};

struct Statement {
  uint64_t fingerprint = 0;  // of its text; 0: a test's own
  std::function<void(Running&)> run;
};

class Txn {
 public:
  Txn(Schema& schema, int64_t n) : number(n), schema_(schema) {}
  Schema& schema() { return schema_; }
  const int64_t number;   // another one may come to lie where this one lay
  bool relaxed = false;   // synchronous_commit = off
  bool doomed = false;    // the server has crashed under it
  int64_t waits_for = 0;  // another's number

 private:
  Schema& schema_;
};

class Postgres final : public pg::Model {
 public:
  Postgres(Network& network, Random& random) : network_(network), random_(random) {}
  ~Postgres() override;

  asio::awaitable<void> Run(const pg::ConnectOptions& options, pg::FlightPtr flight) override;

  Schema& schema(const std::string& name) { return schemas_[name]; }
  absl::Time Clock() const { return absl::FromUnixNanos(RightTime().count()) + ahead_; }
  int64_t NextId() { return ++sequence_; }

  // Adds a statement, or puts another in its place: that is how faults are planted.
  void Register(const std::string& name, uint64_t fingerprint, std::function<void(Running&)> run) {
    statements_[name] = {fingerprint, std::move(run)};
  }

  // Sets something up: the batch is done and committed, whoever else is at work.
  void AtOnce(const std::string& schema, const pg::Batch& batch);

  // ---- faults ----
  void Crash(Millis away);  // forgets what did not wait for the disk
  void JumpClock(Millis by) {
    ahead_ += absl::FromChrono(by);
    most_ahead_ = std::max(most_ahead_, ahead_);
    jumped_at_ = std::chrono::steady_clock::now();
  }
  // Set right: as far on as it has ever been, so that what it had put off comes due.
  void HealClock() {
    if (ahead_ != most_ahead_) jumped_at_ = std::chrono::steady_clock::now();
    ahead_ = most_ahead_;
  }
  Steady jumped_at() const { return jumped_at_; }  // when its clock did last
  bool up() const { return std::chrono::steady_clock::now() >= away_until_; }

  // The transaction that began first of all that are under way.
  int64_t oldest() const { return open_.begin()->first; }

  int64_t commits() const { return commits_; }
  int64_t deadlocks() const { return deadlocks_; }
  int64_t forgotten() const { return forgotten_; }
  // A statement that nobody has modelled, or whose text has changed since: the simulation is of no use then.
  const std::set<std::string>& complaints() const { return complaints_; }

 private:
  struct Service;
  asio::awaitable<void> Serve(std::shared_ptr<Service> service);
  asio::awaitable<void> Execute(Service& service, Txn& txn);
  const Statement* Find(const pg::Statement& statement);
  void Commit(Txn& txn);
  void Rollback(Txn& txn);

  Network& network_;
  Random& random_;
  std::map<std::string, Schema> schemas_;
  std::map<std::string, Statement> statements_;
  std::map<const pg::Statement*, const Statement*> known_;
  std::map<int64_t, Txn*> open_;  // by number
  std::vector<std::vector<std::function<void()>>> not_on_disk_;
  std::chrono::steady_clock::time_point away_until_{};
  std::chrono::steady_clock::time_point flushed_at_{};
  absl::Duration ahead_, most_ahead_;
  Steady jumped_at_{};
  int64_t sequence_ = 0, transactions_ = 0;
  int64_t commits_ = 0, deadlocks_ = 0, forgotten_ = 0;
  uint64_t epoch_ = 0;
  std::map<std::string, std::set<std::shared_ptr<std::atomic<uint64_t>>>> losses_;
  std::set<std::string> complaints_;
};

// Cells of records: a number, a time, and what they are.
std::string IntCell(int64_t value);
std::string TimeCell(absl::Time value);
int64_t IntOf(const RecordRow& row, const std::string& column);
std::optional<absl::Time> TimeOf(const RecordRow& row, const std::string& column);

// The statements of common/events, the timers', and those that letters and webhooks leave by.
void RegisterEvents(Postgres& database);
void RegisterTimers(Postgres& database);
void RegisterSends(Postgres& database);
void RegisterWebhooks(Postgres& database);
// `messaging.claim_deliveries`, which holds what it claims, and no more than it is asked for, unless a test leaves that out.
void ClaimDeliveries(Running& run, bool lease, bool limit);
// Those that a table of records gets, insert and guarded update, made from its descriptor: their models read the statements themselves.
void RegisterRecords(Postgres& database, const std::string& schema, const pg::RecordTable& table);
// A record as a get would answer it; false if there is none.
bool ReadRecord(const Schema& schema, const pg::RecordTable& table, const Uuid& tenant, const Uuid& id,
                google::protobuf::Message& out);

// What `events.number` does once it holds the lane; `head` is where it believes the lane to be.
void NumberFrom(Running& run, int64_t head);

uint64_t Fingerprint(const std::string& text);

}  // namespace crm::sim
