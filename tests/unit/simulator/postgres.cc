#include "tests/unit/simulator/postgres.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <libpq-fe.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstring>
#include <utility>

namespace crm::sim {

namespace {

// What did not wait for the disk is there after so long at the latest (wal_writer_delay).
constexpr Millis kFlushEvery{200};

std::string BigEndian(int64_t value) {
  std::string out(8, '\0');
  for (int i = 0; i < 8; ++i) out[static_cast<size_t>(i)] = static_cast<char>(value >> (8 * (7 - i)));
  return out;
}

std::string BigEndian32(int32_t value) { return BigEndian(value).substr(4); }

pg::ServerError Refusal(const char* sqlstate) { return {sqlstate, "as the simulation has it", "", "", ""}; }

}  // namespace

uint64_t Fingerprint(const std::string& text) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a; runs of white space count as one
  bool space = false;
  for (char c : text) {
    if (c == ' ' || c == '\n') {
      space = true;
      continue;
    }
    if (std::exchange(space, false)) hash = (hash ^ ' ') * 1099511628211u;
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  return hash;
}

// ---- parameters and rows ----

Uuid Given::Id(size_t index) const {
  Uuid id;
  if (Text(index).size() == 16) std::memcpy(id.bytes.data(), Text(index).data(), 16);
  return id;
}

absl::Time Given::Time(size_t index) const {
  if (Text(index) == "-infinity") return absl::InfinitePast();
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%Y-%m-%d %H:%M:%E*S+00", Text(index), &time, &error)) std::abort();
  return time;
}

std::vector<int64_t> Given::Ints(size_t index) const {
  std::vector<int64_t> out;
  for (const std::string& text : Texts(index)) out.push_back(std::stoll(text));
  return out;
}

std::vector<std::string> Given::Texts(size_t index) const {
  std::vector<std::string> out;
  std::string inner = Text(index).substr(1, Text(index).size() - 2);
  if (inner.empty()) return out;
  for (absl::string_view part : absl::StrSplit(inner, ',')) {
    if (part.size() >= 2 && part[0] == '"') part = part.substr(1, part.size() - 2);
    out.emplace_back(part);
  }
  return out;
}

std::vector<Uuid> Given::Ids(size_t index) const {
  std::vector<Uuid> out;
  const std::string& raw = Text(index);  // dimensions, flags, type; size, lower bound; then length and bytes of each
  for (size_t at = 20; at + 20 <= raw.size(); at += 20) {
    Uuid& id = out.emplace_back();
    std::memcpy(id.bytes.data(), raw.data() + at + 4, 16);
  }
  return out;
}

Answer& Answer::Int(int64_t value) { return Text(BigEndian(value)); }

Answer& Answer::Text(std::string value) {
  rows_.back().push_back(std::move(value));
  return *this;
}

Answer& Answer::Id(const Uuid& value) {
  return Text(std::string(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()));
}

Answer& Answer::Double(double value) {
  int64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return Int(bits);
}

Answer& Answer::Time(absl::Time value) { return Int(absl::ToUnixMicros(value) - kPostgresEpochMicros); }

Answer& Answer::Texts(const std::vector<std::string>& values) {
  std::string out = BigEndian32(values.empty() ? 0 : 1) + BigEndian32(0) + BigEndian32(25);
  if (!values.empty()) out += BigEndian32(static_cast<int32_t>(values.size())) + BigEndian32(1);
  for (const std::string& value : values) out += BigEndian32(static_cast<int32_t>(value.size())) + value;
  return Text(std::move(out));
}

pg::Rows Answer::Make() const {
  std::shared_ptr<void> result(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK),
                               [](void* made) { PQclear(static_cast<PGresult*>(made)); });
  auto* raw = static_cast<PGresult*>(result.get());
  if (!rows_.empty()) {
    std::vector<PGresAttDesc> columns(rows_[0].size());
    static char no_name[] = "";
    for (PGresAttDesc& column : columns) column = {no_name, 0, 0, 1, 17, -1, -1};
    PQsetResultAttrs(raw, static_cast<int>(columns.size()), columns.data());
    for (size_t row = 0; row < rows_.size(); ++row) {
      for (size_t column = 0; column < rows_[row].size(); ++column) {
        const std::optional<std::string>& cell = rows_[row][column];
        std::string value = cell.value_or("");
        PQsetvalue(raw, static_cast<int>(row), static_cast<int>(column), value.data(),
                   cell ? static_cast<int>(value.size()) : -1);
      }
    }
  }
  return pg::Rows(std::move(result));
}

absl::Time Running::Clock() const { return database.Clock(); }
int64_t Running::NextId() { return database.NextId(); }

// ---- transactions ----

Postgres::~Postgres() = default;

// One flight on its way. The server's side goes on when the process has stopped waiting.
struct Postgres::Service {
  Service(const pg::ConnectOptions& options, pg::FlightPtr f, Life& l, const asio::any_io_executor& executor)
      : schema(options.schema), flight(std::move(f)), life(l), told(executor, Steady::max()) {}
  std::string schema;
  pg::FlightPtr flight;
  Life& life;
  asio::steady_timer told;
  std::vector<pg::Batch::Item> items;
  std::vector<pg::Rows> rows;
  pg::Flight::Outcome outcome = pg::Flight::Outcome::kPending;
  absl::Status status;
  pg::ServerError error;
  std::string failed;
};

asio::awaitable<void> Postgres::Run(const pg::ConnectOptions& options, pg::FlightPtr flight) {
  Life& life = network_.LifeOf(options.conninfo);
  losses_[options.conninfo].insert(options.losses);
  auto service = std::make_shared<Service>(options, flight, life, network_.executor());
  service->items = flight->items;
  if (flight->exclusive) std::abort();  // nobody here asks for one
  asio::co_spawn(network_.executor(), Serve(service), asio::detached);
  if (service->outcome == pg::Flight::Outcome::kPending) {
    service->told.expires_at(flight->deadline);
    co_await service->told.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (service->outcome == pg::Flight::Outcome::kPending) {
    flight->outcome = pg::Flight::Outcome::kLeft;
    flight->status = absl::DeadlineExceededError("the database did not answer within the deadline");
    co_return;
  }
  flight->outcome = service->outcome;
  flight->status = service->status;
  flight->error = service->error;
  flight->failed = service->failed;
  flight->rows = std::move(service->rows);
}

asio::awaitable<void> Postgres::Serve(std::shared_ptr<Service> service) {
  using Outcome = pg::Flight::Outcome;
  const auto end = [&](Outcome outcome, absl::Status status) {
    service->outcome = outcome;
    service->status = std::move(status);
    service->told.cancel();
  };
  const auto lost = [&] { end(Outcome::kLost, pg::Translate(pg::ServerError{"08006", "", "", "", ""}, "", "")); };
  const auto refused = [&] { end(Outcome::kRefused, pg::Translate(pg::ServerError{"08006", "", "", "", ""}, "", "")); };

  co_await network_.Sleep(Millis(1));  // never from within the call; the dead do not spin either
  co_await network_.Travel(service->life);
  if (!service->life.alive || !up()) co_return refused();
  if (network_.OneIn(network_.weather.unsent_in)) co_return lost();

  {
    Txn txn(schemas_[service->schema], ++transactions_);
    open_[txn.number] = &txn;
    co_await Execute(*service, txn);
    open_.erase(txn.number);
    if (txn.doomed) {
      service->outcome = Outcome::kPending;
    } else if (service->outcome == Outcome::kPending) {
      Commit(txn);
    } else {
      Rollback(txn);
    }
    if (network_.note) {
      std::string what = absl::StrCat("  process ", service->life.number, txn.doomed ? " loses" : " ends");
      for (const auto& item : service->items) absl::StrAppend(&what, " ", item.statement->name);
      if (service->outcome != Outcome::kPending) absl::StrAppend(&what, ": ", service->status.message());
      network_.note(what);
    }
    if (txn.doomed) co_return lost();
  }
  const Outcome outcome = std::exchange(service->outcome, Outcome::kPending);
  if (network_.OneIn(network_.weather.lost_in)) co_return lost();
  co_await network_.Travel(service->life);
  if (!service->life.alive) co_return lost();
  if (outcome != Outcome::kPending) co_return end(outcome, service->status);
  end(Outcome::kDone, absl::OkStatus());
}

asio::awaitable<void> Postgres::Execute(Service& service, Txn& txn) {
  const absl::Time now = Clock();
  const Uuid tenant = service.flight->tenant.empty() ? Uuid{} : *Uuid::Parse(service.flight->tenant);
  for (size_t i = 0; i < service.items.size(); ++i) {
    const pg::Batch::Item& item = service.items[i];
    if (network_.OneIn(4)) co_await network_.Sleep(Millis(network_.Below(3)));
    const Statement* statement = Find(*item.statement);
    Answer answer;
    const char* failure = nullptr;
    while (!txn.doomed) {
      int64_t blocker = 0;
      try {
        answer = Answer();
        Running running{*this, txn.schema(), &txn, Given(item.params), answer, now, *item.statement, tenant};
        if (statement != nullptr) statement->run(running);
      } catch (const Blocked& blocked) {
        blocker = blocked.by->number;
      } catch (const pg::ServerError& error) {
        service.error = error;
        failure = service.error.sqlstate.c_str();
      } catch (const std::exception& error) {  // the model is at fault
        complaints_.insert(absl::StrCat("the model of ", item.statement->name, " fails: ", error.what()));
        failure = "XX000";
      }
      if (blocker == 0) break;
      for (auto next = open_.find(blocker); next != open_.end(); next = open_.find(next->second->waits_for)) {
        if (next->first != txn.number) continue;
        failure = "40P01";
        break;
      }
      if (failure != nullptr) {
        ++deadlocks_;
        break;
      }
      txn.waits_for = blocker;
      while (!txn.doomed && open_.count(blocker) > 0 && std::chrono::steady_clock::now() < service.flight->deadline) {
        co_await network_.Sleep(Millis(2));
      }
      txn.waits_for = 0;
      if (std::chrono::steady_clock::now() >= service.flight->deadline) {
        failure = "57014";
        break;
      }
    }
    if (txn.doomed) co_return;
    if (failure == nullptr && !item.guarded_record.empty() && answer.empty()) failure = pg::kGuardState;
    if (failure != nullptr) {
      if (service.error.sqlstate != failure) service.error = Refusal(failure);
      service.outcome = pg::Flight::Outcome::kFailed;
      service.failed = item.statement->name;
      service.status = pg::Translate(service.error, item.statement->name, item.guarded_record);
      co_return;
    }
    service.rows.push_back(answer.Make());
  }
}

void Postgres::AtOnce(const std::string& schema, const pg::Batch& batch) {
  Txn txn(schemas_[schema], ++transactions_);
  for (const pg::Batch::Item& item : batch.items()) {
    const Statement* statement = Find(*item.statement);
    Answer answer;
    Running running{*this,           txn.schema(),         &txn, Given(item.params), answer, Clock(),
                    *item.statement, batch.call().tenant()};
    if (statement != nullptr) statement->run(running);
  }
  Commit(txn);
}

const Statement* Postgres::Find(const pg::Statement& statement) {
  auto known = known_.find(&statement);
  if (known != known_.end()) return known->second;
  std::string name = statement.name;
  if (!name.empty() && name.back() == '!') name.pop_back();
  auto modelled = statements_.find(name);
  if (modelled == statements_.end()) {
    complaints_.insert(absl::StrCat("nobody has modelled ", name));
    return known_[&statement] = nullptr;
  }
  const uint64_t now = Fingerprint(statement.sql);
  if (modelled->second.fingerprint != 0 && modelled->second.fingerprint != now) {
    complaints_.insert(absl::StrCat("the statement ", name, " has changed: see whether its model in ",
                                    "tests/unit/simulator still means the same, then note 0x", absl::Hex(now),
                                    " there"));
  }
  return known_[&statement] = &modelled->second;
}

void Postgres::Commit(Txn& txn) {
  ++commits_;
  std::vector<std::function<void()>> undo;
  for (TableBase* table : txn.schema().All()) table->Commit(&txn, undo);
  const Steady now = std::chrono::steady_clock::now();
  if (!txn.relaxed || now - flushed_at_ > kFlushEvery) {  // what came before is then on disk as well
    not_on_disk_.clear();
    flushed_at_ = now;
  }
  if (txn.relaxed && !undo.empty()) not_on_disk_.push_back(std::move(undo));
}

void Postgres::Rollback(Txn& txn) {
  for (TableBase* table : txn.schema().All()) table->Rollback(&txn);
}

void Postgres::Crash(Millis away) {
  away_until_ = std::chrono::steady_clock::now() + away;
  for (const auto& [number, txn] : open_) {
    Rollback(*txn);
    txn->doomed = true;
  }
  const int keep = network_.Below(static_cast<int>(not_on_disk_.size()) + 1);
  while (static_cast<int>(not_on_disk_.size()) > keep) {
    for (auto undo = not_on_disk_.back().rbegin(); undo != not_on_disk_.back().rend(); ++undo) (*undo)();
    not_on_disk_.pop_back();
    ++forgotten_;
  }
  not_on_disk_.clear();
  for (auto& [process, counters] : losses_) {
    for (const auto& counter : counters) counter->fetch_add(1);
  }
}

}  // namespace crm::sim
